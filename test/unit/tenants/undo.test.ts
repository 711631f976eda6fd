import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { addKey } from '../../../shared/tenants/api-keys.ts';
import { block, unblock } from '../../../shared/tenants/block.ts';
import { endBoost } from '../../../shared/tenants/boosts.ts';
import { setNote } from '../../../shared/tenants/internal-note.ts';
import { approveRequest } from '../../../shared/tenants/limit-requests/approve-request.ts';
import { declineRequest, requestLimit } from '../../../shared/tenants/limit-requests/limit-requests.ts';
import { entryId } from '../../../shared/tenants/record/audited-change.ts';
import { applyChanges, changesBetween, inverseOf } from '../../../shared/tenants/undo/field-changes.ts';
import { undoableChangesMax } from '../../../shared/tenants/undo/stored-changes.ts';
import { identifyHistory, undoChange, undoState } from '../../../shared/tenants/undo/undo-change.ts';
import {
  asAdmin,
  bare,
  context,
  edited,
  hourMs,
  inHours,
  minuteBoost,
  newestId,
  newestOf,
  nowMs,
  openRequestOf,
  patch,
  undoableIn,
  undone,
  wanted,
} from './undo-fixture.ts';
import type { Editor } from './undo-fixture.ts';

/** One edit of each kind that operators make. An edit that the record refuses is left out. */
const editors: fc.Arbitrary<Editor> = fc.oneof(
  fc.constantFrom('free', 'pro', 'enterprise', null).map((plan) => patch({ plan })),
  fc.constantFrom('Acme', 'Initech', null).map((name) => patch({ display_name: name })),
  fc
    .tuple(fc.constantFrom('minute', 'day', 'chat'), fc.option(fc.integer({ min: 0, max: 999 })))
    .map(([limit, value]) => patch({ overrides: { [limit]: value } })),
  fc.constantFrom('Europe/Berlin', 'Asia/Tokyo', null).map((zone) => patch({ time_zone: zone })),
  fc.option(fc.integer({ min: 1, max: 31 })).map((day) => patch({ billing_day: day })),
  fc.constantFrom('org-a', 'org-b', null).map((group) => patch({ group })),
  fc
    .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 2, max: 99 }), fc.option(fc.constant(1)))
    .map(([multiply, hours, starts]) => minuteBoost(multiply, hours, starts ?? undefined)),
  fc.integer({ min: 0, max: 3 }).map(
    (at): Editor =>
      (record) =>
        endBoost(record, record.boosts?.[at]?.id ?? '', nowMs),
  ),
  fc.option(fc.integer({ min: 1, max: 99 })).map(
    (hours): Editor =>
      (record) =>
        block(record, { until: hours === null ? null : inHours(hours), reason: 'abuse' }, 'robin', nowMs),
  ),
  fc.constant<Editor>(unblock),
  fc.string({ maxLength: 50 }).map(
    (text): Editor =>
      (record) =>
        setNote(record, { text: text, actor: 'robin' }, nowMs),
  ),
  fc.constant<Editor>((record) => requestLimit(record, wanted, context)),
  fc.boolean().map(
    (forGood): Editor =>
      (record) =>
        approveRequest(
          record,
          openRequestOf(record),
          { actor: 'robin', role: 'admin', ...(forGood ? { ends_at: null } : {}) },
          context,
        ),
  ),
  fc.constant<Editor>((record) =>
    declineRequest(record, openRequestOf(record), { answer: 'no', actor: 'robin' }, nowMs),
  ),
);

/** What a record says, apart from its history. The order of boosts and requests says nothing, nor do empty lists. */
function stateOf(record: TenantRecord): object {
  const { boosts = [], limit_requests: requests = [], overrides = {}, ...state } = record;
  const byId = (a: { id: string }, b: { id: string }): number => a.id.localeCompare(b.id);
  return {
    ...state,
    history: null,
    overrides,
    boosts: boosts.toSorted(byId),
    limit_requests: requests.toSorted(byId),
  };
}

describe('the undo of a change', () => {
  test('B12: after an action and its undo, the record is as it was before; after another undo, as the action left it', () => {
    fc.assert(
      fc.property(fc.array(editors, { minLength: 1, maxLength: 12 }), (steps) => {
        let record = bare;
        for (const step of steps) {
          if (!step(record).ok) continue;
          const after = edited(record, step);
          const change = newestOf(after);
          if (
            change.changes !== undefined &&
            undoState(identifyHistory(after), change, nowMs).kind === 'possible'
          ) {
            const back = undone(after);
            expect(stateOf(back)).toEqual(stateOf(record));
            expect(newestOf(back)).toMatchObject({ action: 'undo', undo_of: newestId(after) });
            expect(stateOf(undone(back))).toEqual(stateOf(after));
          }
          record = after;
        }
      }),
      { numRuns: 300 },
    );
  });

  test('the typed changes of two records lead from each to the other', () => {
    const records = fc.array(editors, { maxLength: 8 }).map((steps) =>
      steps.reduce((record, step) => {
        const outcome = step(record);
        return outcome.ok ? outcome.value.record : record;
      }, bare),
    );
    fc.assert(
      fc.property(records, records, (before, after) => {
        const changes = changesBetween(before, after) ?? [];
        expect(stateOf(applyChanges(before, changes))).toEqual(stateOf(after));
        expect(stateOf(applyChanges(after, inverseOf(changes)))).toEqual(stateOf(before));
        expect(inverseOf(inverseOf(changes))).toEqual(changes);
      }),
    );
  });

  test('every kind of change of an operator has an undo', () => {
    const blocked = edited(bare, (record) => block(record, { until: null, reason: 'abuse' }, 'robin', nowMs));
    const requested = edited(bare, (record) => requestLimit(record, wanted, context), 'portal');
    const boosted = edited(bare, minuteBoost(2, 5));
    const boostId = boosted.boosts?.[0]?.id ?? '';
    const states = [
      edited(bare, patch({ plan: 'pro' })),
      edited(bare, patch({ overrides: { minute: 7 }, time_zone: 'Asia/Tokyo', billing_day: 3, group: 'a' })),
      boosted,
      edited(boosted, (record) => endBoost(record, boostId, nowMs + 1)),
      blocked,
      edited(blocked, unblock),
      edited(bare, (record) => setNote(record, { text: 'calls a lot', actor: 'robin' }, nowMs)),
      edited(requested, (record) =>
        approveRequest(record, openRequestOf(record), { actor: 'robin', role: 'admin' }, context),
      ),
      edited(requested, (record) =>
        declineRequest(record, openRequestOf(record), { answer: 'no', actor: 'robin' }, nowMs),
      ),
    ].map((record) => undoState(identifyHistory(record), newestOf(record), nowMs));
    expect(states.map((state) => (state.kind === 'possible' ? state.role : state))).toEqual([
      ...['admin', 'admin', 'support', 'support', 'support', 'support', 'support', 'support', 'support'],
    ]);
  });
});

describe('the undo after a value was set again', () => {
  test('B12: Ann free to pro, Ben pro to enterprise, Cy back to pro: only the change of Cy can be undone', () => {
    const free = edited(bare, patch({ plan: 'free' }));
    const ann = edited(free, patch({ plan: 'pro' }), 'console', 'ann');
    const ben = edited(ann, patch({ plan: 'enterprise' }), 'console', 'ben');
    const cy = edited(ben, patch({ plan: 'pro' }), 'console', 'cy');
    expect(undoableIn(cy)).toEqual([newestId(cy)]);
    const outcome = undoChange(cy, { changeId: newestId(ann), ...asAdmin });
    expect(outcome).toMatchObject({ ok: false, status: 409 });
    expect(outcome.ok ? '' : outcome.detail).toMatch(/^cy changed plan after it/);
    const withoutCyAndBen = edited(undone(cy), (record) =>
      undoChange(record, { changeId: newestId(ben), ...asAdmin }),
    );
    expect(undoableIn(withoutCyAndBen)).toContain(newestId(ann));
  });

  test('B12: a change can be undone exactly while the value in force is the one that it set, and not an equal one', () => {
    const plan = fc.constantFrom('free', 'pro', 'enterprise').map((to) => ({ plan: to }));
    const undo = fc.nat({ max: 9 }).map((index) => ({ index }));
    fc.assert(
      fc.property(fc.array(fc.oneof(plan, undo), { minLength: 1, maxLength: 9 }), (steps) => {
        let record = bare;
        let inForce = 'none';
        /** Which value each change replaced and set: every change of the plan sets a value of its own. */
        const values = new Map<string, { readonly from: string; readonly to: string }>();
        for (const step of steps) {
          const target = 'index' in step ? undoableIn(record)[step.index] : undefined;
          if ('index' in step && target === undefined) continue;
          if ('plan' in step && record.plan === step.plan) continue;
          record = edited(record, (before) =>
            'plan' in step
              ? patch(step)(before)
              : undoChange(before, { changeId: target ?? null, ...asAdmin }),
          );
          const id = newestId(record);
          const to = target === undefined ? id : (values.get(target)?.from ?? '');
          values.set(id, { from: inForce, to });
          inForce = to;
          expect(undoableIn(record)[0]).toBe(id);
          for (const change of record.history ?? []) {
            const { kind } = undoState(identifyHistory(record), change, nowMs);
            if (kind === 'undone') continue;
            expect(kind === 'possible').toBe(values.get(entryId('acme', change))?.to === inForce);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test('without an id, a repeated undo is refused, so that a retry does not undo the undo', () => {
    const latest = { changeId: null, ...asAdmin };
    const once = edited(edited(bare, patch({ plan: 'pro' })), (record) => undoChange(record, latest));
    const again = undoChange(once, latest);
    expect(again).toMatchObject({ ok: false, status: 409 });
    expect(again.ok ? '' : again.detail).toContain('is an undo itself');
    expect(undoChange(once, { ...latest, changeId: newestId(once) }).ok).toBe(true);
  });

  test('of an answer is refused while another request for the same limit is open', () => {
    const requested = edited(bare, (record) => requestLimit(record, wanted, context), 'portal');
    const declined = edited(requested, (record) =>
      declineRequest(record, openRequestOf(record), { answer: 'no', actor: 'robin' }, nowMs),
    );
    const changeId = newestId(declined);
    const requestedAgain = edited(declined, (record) => requestLimit(record, wanted, context), 'portal');
    const outcome = undoChange(requestedAgain, { changeId, ...asAdmin });
    expect(outcome).toMatchObject({ ok: false, status: 409 });
    expect(outcome.ok ? '' : outcome.detail).toContain('another open request');
  });
});

describe('an undo is refused', () => {
  const raised = edited(bare, patch({ overrides: { minute: 500 } }));

  test('if another change replaced the value, naming who changed it and how', () => {
    const later = edited(raised, patch({ overrides: { minute: 700 } }));
    const outcome = undoChange(later, { changeId: newestId(raised), ...asAdmin });
    expect(outcome).toMatchObject({ ok: false, status: 409 });
    expect(outcome.ok ? '' : outcome.detail).toMatch(/^robin changed overrides “minute” after it.*500.*700/);
    const other = edited(raised, patch({ overrides: { day: 9 }, plan: 'pro' }));
    expect(undoChange(other, { changeId: newestId(raised), ...asAdmin }).ok).toBe(true);
  });

  test('a second time, naming who undid it', () => {
    const back = undone(raised);
    const outcome = undoChange(back, { changeId: newestId(raised), ...asAdmin });
    expect(outcome).toMatchObject({ ok: false, status: 409 });
    expect(outcome.ok ? '' : outcome.detail).toContain('robin undid it');
  });

  test('without the role that the change needed, for an unknown change, and for what has ended by itself', () => {
    const id = newestId(raised);
    expect(undoChange(raised, { changeId: id, ...asAdmin, role: 'support' })).toMatchObject({ status: 403 });
    expect(undoChange(raised, { changeId: 'none', ...asAdmin })).toMatchObject({ status: 404 });
    const boosted = edited(bare, minuteBoost(2, 5));
    const later = { changeId: newestId(boosted), ...asAdmin, nowMs: nowMs + 6 * hourMs };
    const outcome = undoChange(boosted, later);
    expect(outcome.ok ? '' : outcome.detail).toContain('ended by itself');
  });

  test('if the policy does not have the restored plan any more', () => {
    const before = { ...bare, plan: 'gold' };
    const changed = edited(before, patch({ plan: 'pro' }));
    const outcome = undoChange(changed, { changeId: newestId(changed), ...asAdmin });
    expect(outcome).toMatchObject({ ok: false, status: 422, violations: [{ field: 'plan' }] });
  });

  test('of a reset, of keys, of what the tenant did itself, and of old changes, each with its reason', () => {
    const reset: Editor = (record) => ({
      ok: true,
      value: {
        record: { ...record, reset: { at_ms: nowMs, actor: 'robin', day_units: 1, month_units: 1 } },
        action: 'reset',
        detail: 'Counters reset',
      },
    });
    const afterReset = edited(bare, reset);
    expect(undoState(identifyHistory(afterReset), newestOf(afterReset), nowMs)).toMatchObject({
      kind: 'final',
      detail: 'A reset cannot be undone: it deletes the content of the windows, of which no copy exists.',
    });
    const withKey = edited(bare, (record) => addKey(record, 'a'.repeat(64), { name: 'CI' }, nowMs));
    expect(undoState(identifyHistory(withKey), newestOf(withKey), nowMs).kind).toBe('final');
    const requested = edited(bare, (record) => requestLimit(record, wanted, context), 'portal');
    expect(undoState(identifyHistory(requested), newestOf(requested), nowMs).kind).toBe('final');
    let record = raised;
    for (let day = 1; day <= undoableChangesMax; day++) record = edited(record, patch({ billing_day: day }));
    const first = record.history?.at(-1);
    expect(first?.changes).toBeUndefined();
    expect(record.history?.[undoableChangesMax - 1]?.changes).toBeDefined();
  });
});

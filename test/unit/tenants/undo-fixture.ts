// Edits of a record as `records.ts` runs them, for tests of their undo and of the history.
import { expect } from 'vitest';
import type { RecordChange, TenantRecord } from '../../../shared/domain/tenant.ts';
import { loadPolicy } from '../../../shared/policy/load.ts';
import { addBoost } from '../../../shared/tenants/boosts.ts';
import type { Outcome } from '../../../shared/tenants/outcome.ts';
import { entryId } from '../../../shared/tenants/record/audited-change.ts';
import { violationsOfRecord } from '../../../shared/tenants/record/violations.ts';
import type { Edit } from '../../../shared/tenants/records.ts';
import { patchSettings } from '../../../shared/tenants/settings.ts';
import { trimHistory, undoFields } from '../../../shared/tenants/undo/stored-changes.ts';
import { identifyHistory, undoChange, undoState } from '../../../shared/tenants/undo/undo-change.ts';

export const policy = await loadPolicy('policies/default.yaml', {}, { secrets: 'optional' });
export const nowMs = Date.parse('2026-03-10T12:00:00Z');
export const hourMs = 3_600_000;
export const bare: TenantRecord = {
  tenant_id: 'acme',
  updated_at: '2026-03-10T12:00:00Z',
  updated_by: 'kim',
};
export const inHours = (hours: number): string => new Date(nowMs + hours * hourMs).toISOString();
export const context = { policy, seenPlan: 'free', planKnown: true, nowMs };
export const asAdmin = { role: 'admin', policy, nowMs } as const;

export type Editor = (record: TenantRecord) => Outcome<Edit>;

/** Runs an edit as `records.ts` does. */
export function edited(
  record: TenantRecord,
  editor: Editor,
  source: 'console' | 'portal' = 'console',
  actor = source === 'portal' ? 'the tenant itself, by key 0123456789ab' : 'robin',
): TenantRecord {
  const outcome = editor(record);
  if (!outcome.ok) throw new Error(outcome.detail);
  const { record: after, action, detail, internalNote, undoOf } = outcome.value;
  const count = record.history?.length ?? 0;
  const entry: RecordChange = {
    ...{ at: new Date(nowMs + count).toISOString(), actor, action, detail },
    ...(internalNote === undefined ? {} : { internal_note: internalNote }),
    ...(undoOf === undefined ? {} : { undo_of: undoOf }),
    ...undoFields(record, after, { source }),
  };
  const history = trimHistory([entry, ...(record.history ?? [])]);
  const changed = { ...after, history };
  expect(violationsOfRecord(changed)).toEqual([]);
  return changed;
}

export function newestId({ tenant_id: id, history: [newest] = [] }: TenantRecord): string {
  if (newest === undefined) throw new Error('no change');
  return entryId(id, newest);
}

export function undone(record: TenantRecord): TenantRecord {
  return edited(record, (before) => undoChange(before, { changeId: newestId(before), ...asAdmin }));
}

export function newestOf({ history: [newest] = [] }: TenantRecord): RecordChange {
  if (newest === undefined) throw new Error('no change');
  return newest;
}

export const patch =
  (fields: object): Editor =>
  (record) =>
    patchSettings(record, { ...fields }, policy);
export const minuteBoost =
  (multiply: number, hours: number, startsIn?: number): Editor =>
  (record) =>
    addBoost(
      record,
      {
        ...{ limit: 'minute', multiply, ends_at: inHours(hours), reason: 'launch', actor: 'robin' },
        ...(startsIn === undefined ? {} : { starts_at: inHours(startsIn) }),
      },
      policy,
      nowMs,
    );
export const wanted = { limit: 'minute', wanted: 500, forMs: hourMs, reason: 'launch' };
export const openRequestOf = ({ limit_requests: requests = [] }: TenantRecord): string =>
  requests.find(({ state }) => state === 'open')?.id ?? '';

/** The changes of the history that can be undone, by id. */
export function undoableIn(record: TenantRecord): readonly string[] {
  return (record.history ?? [])
    .filter((change) => undoState(identifyHistory(record), change, nowMs).kind === 'possible')
    .map((change) => entryId(record.tenant_id, change));
}

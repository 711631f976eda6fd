import { describe, expect, test } from 'vitest';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { addKey } from '../../../shared/tenants/api-keys.ts';
import { block } from '../../../shared/tenants/block.ts';
import { setNote, withInternalNote } from '../../../shared/tenants/internal-note.ts';
import type { Outcome } from '../../../shared/tenants/outcome.ts';
import { changedFields } from '../../../shared/tenants/record/audited-change.ts';
import type { Edit } from '../../../shared/tenants/records.ts';
import { tenantEntriesMax, undoableChangesMax } from '../../../shared/tenants/undo/stored-changes.ts';
import { bare, edited, newestId, newestOf, nowMs, undoableIn } from './undo-fixture.ts';

describe('the history of changes', () => {
  const note = 'known for chargebacks';
  const blocked = edited(bare, (before) =>
    withInternalNote(block(before, { until: null, reason: 'Unpaid invoice' }, 'robin', nowMs), note),
  );

  test('keeps the block of an operator with its note and its undo, however often the tenant changes its settings', () => {
    let record = blocked;
    for (let count = 1; count <= 60; count++)
      record = edited(
        record,
        (before) => ({
          ok: true,
          value: {
            record: { ...before, notifications: { thresholds: [count / 100] } },
            ...{ action: 'notifications', detail: `Thresholds ${count}` },
          },
        }),
        'portal',
      );
    expect(record.history).toHaveLength(tenantEntriesMax + 1);
    expect(record.history?.[0]?.detail).toBe('Thresholds 60');
    expect(record.history?.at(-1)).toMatchObject({ action: 'block', internal_note: note });
    expect(undoableIn(record)).toEqual([newestId(blocked)]);
  });

  test('counts only changes that have an undo for the number of changes that can be undone', () => {
    let record = blocked;
    for (let count = 1; count <= undoableChangesMax + 5; count++)
      record = edited(record, (before) =>
        addKey(before, String(count).padStart(64, '0'), { name: `CI ${count}` }, nowMs),
      );
    expect(undoableIn(record)).toEqual([newestId(blocked)]);
  });
});

describe('a note for operators', () => {
  const note = 'known for chargebacks';

  test('is in the entry of the change, and in no field that the tenant reads', () => {
    const record = edited(bare, (before) =>
      withInternalNote(block(before, { until: null, reason: 'Unpaid invoice' }, 'robin', nowMs), note),
    );
    expect(newestOf(record).internal_note).toBe(note);
    const history = record.history?.map((entry) => ({ ...entry, internal_note: '' }));
    expect(JSON.stringify({ ...record, history })).not.toContain(note);
    expect(JSON.stringify(changedFields(bare, record))).not.toContain(note);
  });

  test('is not replaced if another operator changed it since it was read', () => {
    const read = edited(bare, (record) => setNote(record, { text: 'pays late', actor: 'robin' }, nowMs));
    const readAt = read.internal_note?.at ?? '';
    const write = (record: TenantRecord, since?: string): Outcome<Edit> =>
      setNote(record, { text: 'moves to pro', actor: 'robin', readAt: since }, nowMs + 2);
    const changed = edited(read, (record) => setNote(record, { text: 'see 812', actor: 'kim' }, nowMs + 1));
    expect(write(changed, readAt)).toMatchObject({ ok: false, status: 409, field: 'text' });
    expect(write(bare, readAt)).toMatchObject({ ok: false, status: 409 });
    expect(write(read, '')).toMatchObject({ ok: false, status: 409 });
    expect([write(read, readAt), write(bare, ''), write(changed)].map(({ ok }) => ok)).toEqual([
      true,
      true,
      true,
    ]);
  });

  test('that is too long is refused, with its field', () => {
    const outcome = withInternalNote(
      block(bare, { until: null, reason: 'abuse' }, 'robin', nowMs),
      'x'.repeat(501),
    );
    expect(outcome).toMatchObject({ ok: false, status: 422, field: 'internal_note' });
    expect(setNote(bare, { text: 'x'.repeat(2_001), actor: 'robin' }, nowMs)).toMatchObject({
      ok: false,
      field: 'text',
    });
  });
});

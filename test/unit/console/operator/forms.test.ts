// Goal: forms of operators show the state that is in force, and send what the operator read.
import { expect, test } from 'vitest';
import type { RecordChange, TenantRecord } from '../../../../shared/domain/tenant.ts';
import { blockSection } from '../../../../services/console/operator/tenant/block-section.ts';
import { noteSection } from '../../../../services/console/operator/tenant/tenant-forms.ts';
import type { TenantForms } from '../../../../services/console/operator/tenant/tenant-forms.ts';
import { loadPolicy } from '../../../../shared/policy/load.ts';

const at = '2026-03-10T12:00:00.000Z';
const record: TenantRecord = { tenant_id: 'acme', updated_at: at, updated_by: 'kim' };
const forms: TenantForms = {
  ...{ id: 'acme', path: '/operator/tenants/acme', nowMs: Date.parse(at), zone: 'UTC', role: 'support' },
  policy: await loadPolicy('policies/default.yaml', {}, { secrets: 'optional' }),
  limitNamesOfPlan: new Set(),
  record,
  refused: null,
};

test('a block shows the note of the entry that set it, not of a later block that is no longer in force', () => {
  const block = { until: null, reason: 'Unpaid invoice', actor: 'kim' };
  const other = { until: null, reason: 'abuse', actor: 'robin' };
  const entry = (set: typeof block, note: string): RecordChange => ({
    ...{ at, actor: set.actor, action: 'block', detail: `Blocked until lifted: ${set.reason}` },
    internal_note: note,
  });
  const old = [entry(other, 'note of robin'), entry(block, 'note of kim')];
  const history = [other, block].map((set, index): RecordChange => {
    const changes = [{ field: 'block', from: null, to: set }] as const;
    return { ...entry(set, old[index]?.internal_note ?? ''), changes };
  });
  const shown = (changed: Partial<TenantRecord>): string =>
    blockSection({ ...forms, record: { ...record, ...changed } }).markup;
  expect(shown({ block, history })).toContain('note of kim');
  expect(shown({ block, history })).not.toContain('note of robin');
  expect(shown({ block, history: old })).toContain('note of kim');
  expect(shown({ block: { ...block, reason: 'by another way' }, history })).not.toContain(
    'Internal note: note',
  );
});

test('the form of the note keeps the text of a refused save, shows the one in force, and names the note that was read', () => {
  const internalNote = { text: 'see ticket 812', actor: 'kim', at };
  const values = new URLSearchParams({ text: 'moves to pro', read_at: '2026-03-09T12:00:00.000Z' });
  const { markup } = noteSection({
    ...forms,
    record: { ...record, internal_note: internalNote },
    refused: { form: 'note', refusal: { values, field: 'text', detail: 'kim changed the note meanwhile.' } },
  });
  for (const text of ['see ticket 812', 'moves to pro', 'kim changed the note meanwhile.'])
    expect(markup).toContain(text);
  expect(markup).toContain(`name="read_at" value="${at}"`);
});

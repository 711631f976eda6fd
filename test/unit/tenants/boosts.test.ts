import { describe, expect, test } from 'vitest';
import { boostPhase } from '../../../shared/domain/boost.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { loadPolicy } from '../../../shared/policy/load.ts';
import { block, blockNow, unblock } from '../../../shared/tenants/block.ts';
import { addBoost, endBoost } from '../../../shared/tenants/boosts.ts';

const policy = await loadPolicy('policies/default.yaml', {}, { secrets: 'optional' });
const nowMs = Date.parse('2026-03-10T12:00:00Z');
const dayMs = 86_400_000;
const at = (days: number): string => new Date(nowMs + days * dayMs).toISOString();
const bare: TenantRecord = { tenant_id: 'acme', updated_at: '', updated_by: '' };
const week = { limit: 'minute', multiply: 2, ends_at: at(7), reason: 'launch', actor: 'kim' };

function granted(record: TenantRecord, request = week): TenantRecord {
  const outcome = addBoost(record, request, policy, nowMs);
  if (!outcome.ok) throw new Error(outcome.detail);
  return outcome.value.record;
}

describe('B12: boosts', () => {
  test('B12: a boost without a start runs from now until its end, which is excluded', () => {
    const [boost] = granted(bare).boosts ?? [];
    expect(boost).toMatchObject({ starts_at: at(0), ends_at: at(7), reason: 'launch', actor: 'kim' });
    expect(boostPhase(boost!, nowMs)).toBe('running');
    expect(boostPhase(boost!, nowMs + 7 * dayMs - 1)).toBe('running');
    expect(boostPhase(boost!, nowMs + 7 * dayMs)).toBe('ended');
    expect(boostPhase(boost!, nowMs - 1)).toBe('planned');
  });

  test('B12: ending a running boost keeps it with its end set to now; ending a planned one removes it', () => {
    const running = granted(bare);
    const id = running.boosts?.[0]?.id ?? '';
    const ended = endBoost(running, id, nowMs + dayMs);
    expect(ended.ok && ended.value.record.boosts).toMatchObject([{ id, ends_at: at(1) }]);
    const planned = granted(bare, { ...week, starts_at: at(3) } as typeof week);
    const removed = endBoost(planned, planned.boosts?.[0]?.id ?? '', nowMs);
    expect(removed.ok && removed.value.record.boosts).toEqual([]);
    expect(endBoost(running, 'no-such', nowMs)).toMatchObject({ ok: false, status: 404 });
  });

  test('ended boosts stay in the record for a month', () => {
    const old = { ...week, id: 'old', starts_at: at(-40), ends_at: at(-31) };
    const recent = { ...week, id: 'recent', starts_at: at(-40), ends_at: at(-5) };
    const ids = granted({ ...bare, boosts: [old, recent] }).boosts?.map((boost) => boost.id);
    expect(ids).toHaveLength(2);
    expect(ids).toContain('recent');
  });

  test('a boost beyond twenty planned or running ones is refused', () => {
    let record = bare;
    for (let count = 0; count < 20; count += 1) record = granted(record);
    expect(addBoost(record, week, policy, nowMs)).toMatchObject({ ok: false, status: 409 });
  });

  const wrong = [
    { multiply: 0 },
    { multiply: Number.NaN },
    { multiply: Infinity },
    { multiply: -2 },
    { ends_at: at(-1) },
    { starts_at: at(8) },
    { reason: '' },
    { limit: 'Minute' },
  ];
  test.each(wrong)('%j is refused with a sentence', (change) => {
    const outcome = addBoost(bare, { ...week, ...change }, policy, nowMs);
    expect(outcome).toMatchObject({ ok: false, status: 422 });
    expect(!outcome.ok && outcome.detail.length).toBeGreaterThan(10);
  });
});

describe('C3: blocks', () => {
  test('C3: a block ends at its time; a block without a time ends when it is lifted', () => {
    const timed = block(bare, { until: at(1), reason: 'abuse' }, 'kim', nowMs);
    const record = timed.ok ? timed.value.record : bare;
    expect(blockNow(record, nowMs + dayMs - 1)).toMatchObject({ reason: 'abuse', actor: 'kim' });
    expect(blockNow(record, nowMs + dayMs)).toBeNull();
    const open = block(bare, { until: null, reason: 'abuse' }, 'kim', nowMs);
    const held = open.ok ? open.value.record : bare;
    expect(blockNow(held, nowMs + 1000 * dayMs)).not.toBeNull();
    const lifted = unblock(held);
    expect(lifted.ok && blockNow(lifted.value.record, nowMs)).toBeNull();
  });
});

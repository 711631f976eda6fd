import { describe, expect, test } from 'vitest';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { TenantTotals } from '../../../shared/domain/topics/totals.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { readingsOf } from '../../../shared/policy/quota-readings.ts';

const policy = parsePolicy(
  'test.yaml',
  `version: 1
links: { documentation: https://d.example, upgrade: https://u.example }
identity: { anonymous: ip }
default_plan: free
plans:
  free:
    limits:
      - { name: minute, per: tenant, limit: 50, window: 1m }
      - { name: users, per: [tenant, user], limit: 5, window: 1d, type: quota }
      - { name: hour, per: tenant, limit: 50, window: 1h, type: quota }
      - { name: day, per: tenant, limit: 100, window: 1d, type: quota }
      - { name: month, per: tenant, limit: 2000, window: 1mo, type: quota }
routes:
  - match: POST /agent/chat
    limits: [{ name: chat, per: tenant, limit: 60, window: 1d, type: quota }]
platform: { limits: [{ name: all, per: global, limit: 9000, window: 1m }] }
`,
  {},
  { secrets: 'optional' },
);
const nowMs = Date.parse('2026-03-10T20:00:00Z');
const counts = { requests: 9, allowed: 9, limited: 0, bypassed: 0, errors: 0, units: 9, cost: 0 };
const totals: TenantTotals = {
  tenant_id: 'acme',
  plan: 'free',
  day: { start: '2026-03-10', ...counts, consumed: 30 },
  month: { start: '2026-03-01', ...counts, consumed: 300 },
  day_by_route: { 'POST /agent/chat': 7 },
  complete_through: '2026-03-10T20:00:00.000Z',
  announced_at: '2026-03-10T20:00:00.000Z',
};

function consumedOf(changes: Partial<TenantTotals> = {}, record: Partial<TenantRecord> | null = null) {
  const full = record === null ? null : { tenant_id: 'acme', updated_at: '', updated_by: '', ...record };
  const readings = readingsOf({ ...totals, ...changes }, policy, full, nowMs);
  return Object.fromEntries(readings.map(({ quota, consumed }) => [quota.name, consumed]));
}

describe('readings of announced totals', () => {
  test('cover quotas that count the whole tenant; consumption that totals do not hold is null', () => {
    expect(consumedOf()).toEqual({ hour: null, day: 30, month: 300, chat: 7 });
  });

  test('leave out another day, and keep the month', () => {
    expect(consumedOf({ day: { ...totals.day, start: '2026-03-09' } })).toEqual({ hour: null, month: 300 });
  });

  test("in the tenant's zone apply to the tenant's day", () => {
    const record = { time_zone: 'Asia/Tokyo' };
    const tokyo = { time_zone: 'Asia/Tokyo', day: { ...totals.day, start: '2026-03-11' } };
    expect(consumedOf(tokyo, record)).toEqual({ hour: null, day: 30, month: 300, chat: 7 });
  });

  test('are null while the record has another zone', () => {
    expect(consumedOf({}, { time_zone: 'Asia/Tokyo' })).toEqual({
      hour: null,
      day: null,
      month: null,
      chat: null,
    });
  });

  test('are null for quotas of routes if there are too many routes to announce', () => {
    const others = structuredClone<Partial<TenantTotals>>(totals);
    Reflect.deleteProperty(others, 'day_by_route');
    const readings = readingsOf(others as TenantTotals, policy, null, nowMs);
    expect(Object.fromEntries(readings.map(({ quota, consumed }) => [quota.name, consumed]))).toEqual({
      hour: null,
      day: 30,
      month: 300,
      chat: null,
    });
  });

  test('hold a reset within the period', () => {
    const atMs = Date.parse('2026-03-05T00:00:00Z');
    const reset = { at_ms: atMs, actor: 'x', day_units: 0, month_units: 0 };
    const record: TenantRecord = { tenant_id: 'acme', updated_at: '', updated_by: '', reset };
    const resets = readingsOf(totals, policy, record, nowMs).map((one) => [one.quota.name, one.resetAtMs]);
    expect(resets).toEqual([
      ['hour', null],
      ['day', null],
      ['month', atMs],
      ['chat', null],
    ]);
  });

  test('do not exist for the anonymous tenant', () => {
    expect(consumedOf({ tenant_id: 'anonymous' })).toEqual({});
  });
});

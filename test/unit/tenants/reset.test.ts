import { expect, test } from 'vitest';
import type { Limit, LimitState } from '../../../shared/domain/limit.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { baseline } from '../../../shared/tenants/reset.ts';

const nowMs = Date.parse('2026-03-10T12:00:00Z');
const record = (resetAt?: string, dayUnits = 0): TenantRecord => ({
  tenant_id: 'acme',
  updated_at: '',
  updated_by: '',
  ...(resetAt === undefined
    ? {}
    : { reset: { at_ms: Date.parse(resetAt), actor: 'kim', day_units: dayUnits, month_units: dayUnits } }),
});

/** A daily quota of 1000 of which Redis has counted `used`. */
function counted(used: number): Parameters<typeof baseline>[1] {
  const limit: Limit = {
    name: 'day',
    of: 'requests',
    per: ['tenant'],
    type: 'quota',
    limit: 1000,
    windowMs: 86_400_000,
    period: 'day',
    burst: 0,
    mode: 'enforce',
    route: null,
  };
  const state: LimitState = {
    name: 'day',
    of: 'requests',
    limit: 1000,
    remaining: 1000 - used,
    resetAtMs: 0,
    windowMs: 86_400_000,
    burst: 0,
    violated: false,
    retryAfterMs: 0,
    mode: 'enforce',
  };
  return { states: [{ held: { limit, ofPolicy: 1000, override: null, boost: null }, state }] };
}

test.each([
  ['the stored total is behind the counter: the counter is used', record(), 60, 40, 60],
  ['the counter lost units: the stored total is used', record(), 10, 40, 40],
  ['a reset earlier today removed units: they are added', record('2026-03-10T09:00:00Z', 500), 30, 520, 530],
  ['a reset of yesterday is ignored', record('2026-03-09T23:59:59Z', 500), 30, 20, 30],
])('C4: baseline of the day when %s', (_when, before, used, logged, expected) => {
  expect(baseline(before, counted(used), { day: logged, month: 7 }, nowMs)).toMatchObject({
    day_units: expected,
  });
});

test('C4: without a quota of the period the stored total is the baseline', () => {
  expect(baseline(record(), { states: [] }, { day: 3, month: 7 }, nowMs)).toEqual({
    day_units: 3,
    month_units: 7,
  });
});

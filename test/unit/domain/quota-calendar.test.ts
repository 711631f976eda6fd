import { describe, expect, test } from 'vitest';
import type { Limit } from '../../../shared/domain/limit.ts';
import { calendarOf, calendarOfLimit } from '../../../shared/domain/quota.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { policyOf, violationsOf } from '../policy/text.ts';

const recordOf = (fields: Partial<TenantRecord>): TenantRecord => ({
  tenant_id: 'acme',
  updated_at: '',
  updated_by: '',
  ...fields,
});

function limitOf(keys: string): Limit {
  const [limit] = policyOf({ plans: `{ free: { limits: [{ name: q, limit: 5, type: quota, ${keys} }] } }` })
    .plans.get('free')
    ?.limits.slice() ?? [undefined];
  if (limit === undefined) throw new Error('no limit');
  return limit;
}

describe('the calendar of a limit', () => {
  const own = { time_zone: 'Asia/Tokyo', billing_day: 31 };
  test.each<[string, Partial<TenantRecord> | null, string | null]>([
    ['per: tenant, window: 1mo', null, null],
    ['per: tenant, window: 1mo', { time_zone: 'UTC' }, null],
    ['per: tenant, window: 1mo', { billing_day: 15 }, 'UTC@15'],
    ['per: tenant, window: 1mo', own, 'Asia/Tokyo@31'],
    ['per: [tenant, user], window: 1mo', own, 'Asia/Tokyo@31'],
    ['per: tenant, window: 1d', own, 'Asia/Tokyo'],
    ['per: tenant, window: 1mo, billing_day: 15', null, 'UTC@15'],
    ['per: tenant, window: 1mo, billing_day: 15', { time_zone: 'Asia/Tokyo' }, 'Asia/Tokyo@15'],
    ['per: tenant, window: 1mo, billing_day: 15', { billing_day: 1 }, null],
    ['per: tenant, window: 1mo, billing_day: 15', own, 'Asia/Tokyo@31'],
    ['per: ip, window: 1mo', own, null],
    ['per: ip, window: 1mo, billing_day: 15', own, 'UTC@15'],
    ['per: key, window: 1mo', own, 'Asia/Tokyo@31'],
    ['per: tenant, window: 1mo', { time_zone: 'Mars/Base', billing_day: 2 }, 'UTC@2'],
  ])('%s of %o is %s', (keys, record, calendar) => {
    expect(calendarOfLimit(limitOf(keys), record === null ? null : recordOf(record))).toBe(calendar);
  });

  test('is computed once for each record', () => {
    const record = recordOf({ time_zone: 'Asia/Tokyo', billing_day: 31 });
    expect(calendarOf(record)).toBe('Asia/Tokyo@31');
    expect(calendarOf(recordOf({}))).toBeNull();
  });
});

test.each([
  ['window: 1d, billing_day: 15', /billing_day: is allowed with type quota and window 1mo only/],
  ['window: 1mo, billing_day: 32', /billing_day: is 32, but must be the day on which months begin/],
  ['window: 1mo, billing_day: 0', /billing_day: is 0, but must be the day on which months begin/],
])('%s is refused with its line', (keys, violation) => {
  const plans = `\n  free:\n    limits:\n      - { name: q, per: tenant, limit: 5, type: quota, ${keys} }`;
  const [text] = violationsOf({ plans });
  expect(text).toMatch(/^policy\.yaml:7:\d+: plans\.free\.limits\[0\]\./);
  expect(text).toMatch(violation);
});

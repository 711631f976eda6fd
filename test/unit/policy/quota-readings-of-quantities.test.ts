import { expect, test } from 'vitest';
import type { PeriodTotals, TenantTotals } from '../../../shared/domain/topics/totals.ts';
import { readTotals } from '../../../shared/domain/topics/totals.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { readingsOf } from '../../../shared/policy/quota-readings.ts';

const policy = parsePolicy(
  'test.yaml',
  `version: 1
links: { documentation: https://d.example, upgrade: https://u.example }
identity: { anonymous: ip }
default_plan: free
quantities: { tokens: { sum: [input_tokens] }, usd: { decimals: 6, cost: true } }
prices: [{ model: "*", per: 1, input_tokens: 1 }]
plans:
  free:
    limits:
      - { name: requests, per: tenant, limit: 100, window: 1d, type: quota }
      - { name: spend, of: usd, per: tenant, limit: 5, window: 1mo, type: quota }
      - { name: tokens, of: tokens, per: tenant, limit: 20000, window: 1d, type: quota }
routes:
  - match: POST /chat
    limits:
      - { name: chat, per: tenant, limit: 60, window: 1d, type: quota }
      - { name: chat_spend, of: usd, per: tenant, limit: 60, window: 1d, type: quota }
    usage: { format: openai_chat }
`,
  {},
  { secrets: 'optional' },
);
const nowMs = Date.parse('2026-03-10T20:00:00Z');
const counts = {
  requests: 9,
  allowed: 9,
  limited: 0,
  bypassed: 0,
  errors: 0,
  units: 9,
  consumed: 9,
  cost: 0,
};

function totalsWith(period: Partial<PeriodTotals>): TenantTotals {
  return {
    ...{ tenant_id: 'acme', plan: 'free', day_by_route: { 'POST /chat': 7 } },
    day: { start: '2026-03-10', ...counts, ...period },
    month: { start: '2026-03-01', ...counts, ...period },
    ...{ complete_through: '2026-03-10T20:00:00.000Z', announced_at: '2026-03-10T20:00:00.000Z' },
  };
}

function countedOf(period: Partial<PeriodTotals>): Record<string, readonly [number | null, number | null]> {
  const readings = readingsOf(totalsWith(period), policy, null, nowMs);
  return Object.fromEntries(
    readings.map(({ quota, consumed, reserved }) => [quota.name, [consumed, reserved] as const]),
  );
}

test('amounts of announced totals are read in smallest units, and those of open reservations apart', () => {
  const amounts = { quantities: { usd: 4.000_001, tokens: 900 }, reserved: { usd: 0.1, tokens: 300 } };
  expect(countedOf(amounts)).toEqual({
    requests: [9, 0],
    spend: [4_000_001, 100_000],
    tokens: [900, 300],
    chat: [7, 0],
    chat_spend: [null, null],
  });
});

test('a tenant without amounts has consumed nothing of these quotas', () => {
  expect(countedOf({})).toMatchObject({ spend: [0, 0], tokens: [0, 0] });
});

test('units of open reservations are read apart, and from ClickHouse for a route', () => {
  expect(countedOf({ reserved: { requests: 2 } })).toMatchObject({ requests: [9, 2], chat: [null, null] });
});

test.each([
  [{ quantities: { usd: 'much' } }, false],
  [{ quantities: [1] }, false],
  [{ reserved: { usd: null } }, false],
  [{ quantities: { usd: 1 }, reserved: {} }, true],
])('an announcement with the amounts %j is valid: %s', (period, valid) => {
  const value = Buffer.from(JSON.stringify(totalsWith(period as Partial<PeriodTotals>)));
  expect(readTotals({ key: 'acme', value }) !== null).toBe(valid);
});

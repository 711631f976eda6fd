import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { storeUsage } from '../../support/stored-usage.ts';

export const policy = parsePolicy(
  'test.yaml',
  `version: 1
links: { documentation: https://d.example, upgrade: https://u.example }
identity: { anonymous: ip }
default_plan: free
quantities:
  tokens: { sum: [input_tokens, output_tokens] }
  usd: { decimals: 6, cost: true }
prices: [{ model: "*", per: 1000000, input_tokens: 1, output_tokens: 2 }]
plans:
  free:
    limits:
      - { name: spend, of: usd, per: tenant, limit: 5, window: 1mo, type: quota }
      - { name: tokens, of: tokens, per: tenant, limit: 20000, window: 1d, type: quota }
      - { name: users, of: tokens, per: [tenant, user], limit: 9000, window: 1d, type: quota }
  member:
    limits:
      - { name: models, of: tokens, per: [tenant, model], limit: 9000, window: 1d, type: quota }
      - { name: own, of: usd, per: tenant, limit: 9, window: 1mo, type: quota }
groups:
  mains: { limits: [{ name: shared, of: usd, per: group, limit: 10, window: 1mo, type: quota }] }
attributes: { model: { from: model } }
routes:
  - match: POST /agent/chat
    limits: [{ name: chat, of: usd, per: tenant, limit: 3, window: 1d, type: quota }]
    usage: { format: openai_chat }
`,
  {},
  { secrets: 'optional' },
);

export const nowMs = Date.now();
/** One usd in its smallest units. */
export const usd = 1_000_000;

export function recordOf(tenant_id: string, more: object = {}): TenantRecord {
  return { tenant_id, plan: 'member', group: 'mains', updated_at: '', updated_by: '', ...more };
}

/** The tenants of one group; their own counters have other calendars, and one of them was reset. */
export const members = new Map(
  [
    recordOf('one'),
    recordOf('tokyo', { time_zone: 'Asia/Tokyo' }),
    recordOf('reset', { reset: { at_ms: nowMs - 1, actor: 'x', day_units: 0, month_units: 0 } }),
  ].map((record) => [record.tenant_id, record]),
);

/** Stores the calls whose amounts the tests expect. */
export async function storeBudgetEvents(clickhouse: ClickHouse): Promise<void> {
  const route = { timeMs: nowMs, route: 'POST /agent/chat' };
  const settled = { reservation: 'settled', reserved: { usd: '1.75' } } as const;
  await storeUsage(clickhouse, [
    { tenant: 'acme', ...route, quantities: { usd: '1.5', tokens: 4000 }, ...settled },
    { tenant: 'acme', ...route, quantities: { usd: '0.25', tokens: 1000 }, reservation: 'open' },
    { tenant: 'acme', ...route, user: 'bob', quantities: { usd: '2.25', tokens: 7000 }, route: '*' },
    { tenant: 'acme', ...route, decision: 'limited', quantities: { usd: 100, tokens: 100_000 } },
  ]);
  const event = { timeMs: nowMs - 1_000, plan: 'member', route: '*' } as const;
  await storeUsage(clickhouse, [
    { tenant: 'one', ...event, model: 'gpt', quantities: { usd: '6', tokens: 10 } },
    { tenant: 'one', ...event, model: 'gpt', quantities: { usd: '0.75', tokens: 20 }, reservation: 'open' },
    { tenant: 'one', ...event, model: 'claude', user: 'bob', quantities: { usd: '1.25', tokens: 40 } },
    { tenant: 'tokyo', ...event, model: 'gpt', quantities: { usd: '1', tokens: 80 } },
    { tenant: 'reset', ...event, model: 'gpt', quantities: { usd: '0.5', tokens: 160 } },
    { tenant: 'outside', ...event, model: 'gpt', quantities: { usd: '100', tokens: 320 } },
  ]);
}

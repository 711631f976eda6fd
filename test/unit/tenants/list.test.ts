import { expect, test } from 'vitest';
import type { TenantFigures } from '../../../shared/clickhouse/queries/tenants/tenant-figures.ts';
import { heartbeatTenant } from '../../../shared/domain/identity.ts';
import { moneyOf } from '../../../shared/domain/money.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { loadPolicy } from '../../../shared/policy/load.ts';
import { listTenants } from '../../../shared/tenants/list/list.ts';
import { orderTenants, selectTenants } from '../../../shared/tenants/list/select.ts';
import type { TenantOrder } from '../../../shared/tenants/list/select.ts';

const env = { TOLLGATE_JWT_SECRET: 'x'.repeat(32), TOLLGATE_SERVICE_TOKEN: 'y'.repeat(32) };
const policy = await loadPolicy('policies/default.yaml', env);
/** Half of November has passed. */
const nowMs = Date.parse('2026-11-16T00:00:00Z');

const figures = (id: string, some: Partial<TenantFigures>): TenantFigures => ({
  tenant_id: id,
  plan: 'free',
  requests_today: 0,
  limited_today: 0,
  cost_today: 0n,
  requests_week: 0,
  requests_week_before: 0,
  limited_week: 0,
  cost_month: 0n,
  ...some,
});
const record = (id: string, some: Partial<TenantRecord> = {}): TenantRecord => ({
  tenant_id: id,
  updated_at: '2026-11-01T00:00:00Z',
  updated_by: 'kim',
  ...some,
});

const records = [
  record('quiet', { plan: 'pro', display_name: 'Quiet Inc', group: 'org' }),
  record('stopped', { block: { until: null, reason: 'abuse', actor: 'kim' } }),
];
const recorded = [
  figures('busy', { requests_today: 90, requests_week: 300, requests_week_before: 200 }),
  figures('shrinking', { requests_today: 50, requests_week: 10, requests_week_before: 100 }),
  figures('new', { requests_today: 5, requests_week: 7, cost_month: moneyOf(40) }),
  figures('stopped', { limited_today: 12 }),
  figures(heartbeatTenant, { requests_today: 1440 }),
];
const all = listTenants(records, recorded, policy, nowMs);
const ids = (list: readonly { readonly tenant_id: string }[]): string[] => list.map((one) => one.tenant_id);
const ordered = (order: TenantOrder, descending = true, shares: Record<string, number> = {}): string[] =>
  ids(orderTenants(all, order, descending, (id) => shares[id] ?? null));

test('C7: a list has tenants with a record or with usage, and never the heartbeat', () => {
  expect(ids(all).toSorted()).toEqual(['busy', 'new', 'quiet', 'shrinking', 'stopped']);
});

test('C7: tenants are ordered by requests, refusals, growth, cost, margin, name and used share', () => {
  expect(ordered('requests').slice(0, 3)).toEqual(['busy', 'shrinking', 'new']);
  expect(ordered('refused')[0]).toBe('stopped');
  expect(ordered('growth').slice(0, 3)).toEqual(['new', 'busy', 'shrinking']);
  expect(ordered('growth', false).slice(0, 2)).toEqual(['shrinking', 'busy']);
  expect(ordered('cost')[0]).toBe('new');
  // The price of the plan minus twice the cost of half a month.
  expect(ordered('margin', false)[0]).toBe('new');
  expect(ordered('name')[0]).toBe('stopped');
  expect(ordered('share', true, { quiet: 0.2, busy: 0.9 }).slice(0, 2)).toEqual(['busy', 'quiet']);
});

test('a tenant whose figure is unknown is last in both directions', () => {
  expect(ordered('share', false, { busy: 0.9 })[0]).toBe('busy');
  const unknown = listTenants(records, null, policy, nowMs);
  expect(unknown.map(({ requests_today: today }) => today)).toEqual([null, null]);
  expect(ids(orderTenants(unknown, 'requests', true))).toEqual(['quiet', 'stopped']);
});

test('tenants are selected by text, plan, group and state', () => {
  const select = (filter: Parameters<typeof selectTenants>[1]): string[] => {
    const outcome = selectTenants(all, filter, policy);
    return outcome.ok ? ids(outcome.value) : [outcome.detail];
  };
  expect(select({ search: 'QUIET inc' })).toEqual(['quiet']);
  expect(select({ plan: 'pro' })).toEqual(['quiet']);
  expect(select({ group: 'org' })).toEqual(['quiet']);
  expect(select({ state: 'blocked' })).toEqual(['stopped']);
  expect(select({ state: 'no-record' })).toEqual(['busy', 'shrinking', 'new']);
  expect(select({ state: 'boosted' })).toEqual([]);
});

test('a plan that does not exist is rejected with the plans that exist', () => {
  const outcome = selectTenants(all, { plan: 'gold' }, policy);
  expect(outcome).toMatchObject({
    ok: false,
    status: 422,
    detail: expect.stringMatching(/no plan “gold”; it has: .*free, pro, enterprise/) as unknown,
  });
});

import { expect, test } from 'vitest';
import {
  attentionNow,
  attentionOfLetters,
  attentionOfUsage,
} from '../../../services/console/operator/start/attention.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { LimitStatus } from '../../../shared/tenants/live-usage.ts';
import type { ListedTenant } from '../../../shared/tenants/list/list.ts';

const nowMs = Date.parse('2026-11-16T00:00:00Z');
const record = (some: Partial<TenantRecord>): TenantRecord => ({
  ...{ tenant_id: 'acme', updated_at: '2026-11-01T00:00:00Z', updated_by: 'kim' },
  ...some,
});
const boost = {
  ...{ id: 'b', limit: 'minute', multiply: 2, reason: 'launch', actor: 'kim' },
  starts_at: '2026-11-15T00:00:00Z',
};
const tenant = (today: number, week: number): ListedTenant =>
  ({ tenant_id: 'acme', limited_today: today, limited_week: week }) as ListedTenant;
const limit = (used: number): LimitStatus => ({ name: 'day', used, limit: 100 }) as LimitStatus;

test('the records show blocked tenants and raised limits that end within a day', () => {
  const records = [
    record({ block: { until: null, reason: 'abuse', actor: 'kim' } }),
    record({ boosts: [{ ...boost, ends_at: '2026-11-16T10:00:00Z' }] }),
    record({ boosts: [{ ...boost, ends_at: '2026-11-20T00:00:00Z' }] }),
  ];
  expect(attentionNow(records, true, nowMs).map(({ sentence }) => sentence)).toEqual([
    'Redis does not answer: gateways decide by themselves.',
    '1 tenant is blocked.',
    '1 raised limit ends within a day.',
  ]);
  expect(attentionNow([record({})], false, nowMs)).toEqual([]);
});

test('a tenant needs attention from 80 % of a limit on, or with three times its usual refusals', () => {
  const fullest = new Map([
    ['a', limit(80)],
    ['b', limit(79)],
    ['c', undefined],
  ]);
  const tenants = [tenant(30, 35), tenant(30, 140), tenant(19, 0)];
  expect(attentionOfUsage(tenants, fullest).map(({ sentence }) => sentence)).toEqual([
    '1 tenant is refused much more often than usual today.',
    '1 tenant has used 80 % or more of a limit.',
  ]);
  expect(attentionOfUsage([], new Map())).toEqual([]);
});

test('dead letters are counted up to the length of the list', () => {
  expect(attentionOfLetters(1, false)[0]?.sentence).toBe('1 message could not be read.');
  expect(attentionOfLetters(50, true)[0]?.sentence).toBe('More than 50 messages could not be read.');
  expect(attentionOfLetters(0, false)).toEqual([]);
});

import { expect, test } from 'vitest';
import {
  attentionNow,
  attentionOfLetters,
  attentionOfUsage,
  busiestOf,
} from '../../../../services/console/operator/start/attention.ts';
import {
  attentionOfGateways,
  attentionOfLosses,
  attentionOfPipeline,
  attentionOfPolicy,
  attentionOfTargets,
  attentionWithoutGateways,
} from '../../../../services/console/operator/start/attention-of-processes.ts';
import { usageState } from '../../../../services/console/operator/start/start-page.ts';
import type { GatewayReport, LossAuditReport } from '../../../../shared/domain/operators/process-report.ts';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import type { LimitStatus } from '../../../../shared/tenants/live-usage.ts';
import type { ListedTenant } from '../../../../shared/tenants/list/list.ts';

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

test('limits are read of the tenants with requests today, the busiest first', () => {
  const named = (id: string, requests: number | null): ListedTenant =>
    ({ tenant_id: id, requests_today: requests }) as ListedTenant;
  const tenants = [named('a', 1), named('b', 0), named('c', 30), named('d', null), named('e', 4)];
  expect(busiestOf(tenants).map(({ tenant_id: id }) => id)).toEqual(['c', 'e', 'a']);
});

test('usage without an item is calm only if the limits of all tenants were read', () => {
  const calm = 'No tenant is near a limit';
  const pageText = (fullest: Parameters<typeof usageState>[1], isCut = false): string =>
    usageState([], fullest, isCut).toString().replaceAll(/\s+/g, ' ');
  expect(pageText(new Map([['a', limit(1)]]))).toContain(calm);
  expect(pageText(new Map([['a', undefined]]))).not.toContain(calm);
  expect(pageText(new Map([['a', undefined]]))).toContain('Live usage cannot be shown right now');
  expect(pageText(new Map([['a', limit(1)]]), true)).toContain('Only the limits of the 5,000 tenants');
});

test('dead letters are counted up to the length of the list', () => {
  expect(attentionOfLetters(1, false)[0]?.sentence).toBe('1 message could not be read.');
  expect(attentionOfLetters(50, true)[0]?.sentence).toBe('More than 50 messages could not be read.');
  expect(attentionOfLetters(0, false)).toEqual([]);
});

const gateway = (some: Partial<GatewayReport> = {}): GatewayReport => ({
  ...{ kind: 'gateway', name: 'gw-1', at: '2026-11-15T23:59:58Z', policy: 'r1', refused_edit: null },
  ...{ redis_unavailable: 0, without_redis_at: null, spool_failure: null, ...some },
});

test('a gateway needs attention that does not report, decides without Redis, has no disk or another policy', () => {
  const sentences = (some: Partial<GatewayReport>): string[] =>
    attentionOfGateways([gateway(some)], 'r1', nowMs).map(({ sentence }) => sentence);
  expect(sentences({})).toEqual([]);
  expect(sentences({ at: '2026-11-15T23:58:00Z' })).toEqual([
    'Gateway gw-1 has not reported for 2 min: it was killed, or it cannot reach Redis and decides without it.',
  ]);
  expect(sentences({ redis_unavailable: 1, without_redis_at: '2026-11-15T23:59:58Z' })).toEqual([
    'Gateway gw-1 decides without 1 Redis server: the circuit breaker is open.',
  ]);
  expect(sentences({ without_redis_at: '2026-11-15T23:50:00Z' })).toEqual([
    'Gateway gw-1 decided without Redis until 15 Nov 2026, 23:50:00 UTC.',
  ]);
  expect(sentences({ without_redis_at: '2026-11-15T23:40:00Z' })).toEqual([]);
  expect(sentences({ spool_failure: 'ENOSPC' })).toEqual([
    'The spool of gateway gw-1 cannot use its disk: ENOSPC',
  ]);
  expect(sentences({ policy: 'r0' })).toEqual(['Gateway gw-1 applies revision r0 of the policy, not r1.']);
});

test('gateways of which none reports are urgent, unless no gateway served a request in the last month', () => {
  const sentence = 'No gateway has reported within an hour.';
  for (const hasServed of [true, null])
    expect(attentionWithoutGateways(hasServed)).toMatchObject([{ tone: 'bad', sentence }]);
  expect(attentionWithoutGateways(false)).toMatchObject([
    { tone: 'plain', sentence: 'No gateway reports, and none served a request in the last month.' },
  ]);
});

test('gateways that stopped reporting are one sentence, and hide no fault of a gateway that reports', () => {
  const silent = Array.from({ length: 12 }, (_, index) =>
    gateway({ name: `old-${index}`, at: `2026-11-15T23:${String(10 + index)}:00Z` }),
  );
  const live = [gateway({ name: 'late', policy: 'r0' }), gateway({ name: 'full', spool_failure: 'ENOSPC' })];
  expect(attentionOfGateways([...silent, ...live], 'r1', nowMs)).toMatchObject([
    { tone: 'bad', sentence: 'The spool of gateway full cannot use its disk: ENOSPC' },
    { tone: 'warn', sentence: 'Gateway late applies revision r0 of the policy, not r1.' },
    {
      tone: 'bad',
      sentence:
        '12 gateways have not reported for 39 min or longer: old-11, old-10, old-9, old-8, old-7 and 7 more. They were killed, or they cannot reach Redis and decide without it.',
    },
  ]);
});

test('more than ten gateways of one kind are stated as a number', () => {
  const many = Array.from({ length: 13 }, (_, index) => gateway({ name: `gw-${index}`, policy: 'r0' }));
  const items = attentionOfGateways(many, 'r1', nowMs);
  expect(items).toHaveLength(11);
  expect(items.at(-1)?.sentence).toBe('3 more of this kind.');
});

test('a refused edit of the policy is shown with its line, and links to the page of the policy', () => {
  expect(attentionOfPolicy(['policy.yaml:3:5: no such plan', 'policy.yaml:4:1: more'], [])).toEqual([
    {
      tone: 'bad',
      sentence:
        'The last edit of the policy file was refused: policy.yaml:3:5: no such plan (and 1 further violation)',
      href: '/operator/policy#refused',
    },
  ]);
  const refused = gateway({ refused_edit: 'p.yaml:1:1: broken' });
  expect(attentionOfPolicy(null, [refused])[0]?.sentence).toBe(
    'Gateway gw-1 refused the last edit of its policy file: p.yaml:1:1: broken',
  );
  expect(attentionOfPolicy(['p.yaml:1:1: broken'], [refused])).toHaveLength(1);
  expect(attentionOfPolicy(null, [gateway()])).toEqual([]);
});

const audit = (some: Partial<LossAuditReport> = {}): LossAuditReport => ({
  ...{ kind: 'loss-audit', name: '', at: '2026-11-15T23:58:00Z', is_failed: false },
  ...{ interval_ms: 300_000, is_cut: false },
  ...{ lost_events: 0, units_ahead: 0, disagreeing_days: 0, spools_set_back: 0, ...some },
});

test('losses are urgent while the last audit finds them, and stay until a week has passed', () => {
  const found = audit({ lost_events: 3, units_ahead: 1.5 });
  expect(attentionOfLosses({ last: found, loss: { ...found, kind: 'last-loss' } }, nowMs)).toMatchObject([
    {
      tone: 'bad',
      sentence:
        'The loss audit of 15 Nov 2026, 23:58:00 UTC found 3 lost events, 1.5 units that only Redis counted. “tollgate audit” names each of them.',
    },
  ]);
  const before = audit({ kind: 'last-loss', at: '2026-11-14T10:00:00Z', spools_set_back: 1 });
  expect(attentionOfLosses({ last: audit(), loss: before }, nowMs)).toMatchObject([{ tone: 'warn' }]);
  const failed = audit({ is_failed: true, units_ahead: null });
  expect(attentionOfLosses({ last: failed, loss: before }, nowMs)).toMatchObject([
    { tone: 'bad' },
    { tone: 'warn' },
  ]);
  expect(attentionOfLosses({ last: audit(), loss: null }, nowMs)).toEqual([]);
  const cut = audit({ lost_events: 9, is_cut: true });
  expect(attentionOfLosses({ last: cut, loss: cut }, nowMs)[0]?.sentence).toContain(
    'found at least 9 lost events.',
  );
});

test('an audit that failed, is late or never ran is no audit without a loss', () => {
  const sentences = (last: LossAuditReport | null): string[] =>
    attentionOfLosses({ last, loss: null }, nowMs).map(({ sentence }) => sentence);
  expect(sentences(null)).toEqual(['No loss audit has reported within a week.']);
  expect(attentionOfLosses({ last: null, loss: null }, nowMs)).toMatchObject([{ tone: 'warn' }]);
  expect(sentences(audit({ units_ahead: null }))).toEqual([
    'The loss audit of 15 Nov 2026, 23:58:00 UTC did not compare the counters of Redis, because the totals were late.',
  ]);
  expect(sentences(audit({ is_failed: true }))).toEqual([
    'The loss audit of 15 Nov 2026, 23:58:00 UTC failed, so losses are unknown.',
  ]);
  expect(sentences(audit({ at: '2026-11-15T23:00:00Z' }))).toEqual(['The last loss audit was 1 h ago.']);
  expect(sentences(audit({ at: '2026-11-15T23:00:00Z', interval_ms: 86_400_000 }))).toEqual([]);
});

test('a late pipeline, rebuilt counters and targets that do not answer need attention', () => {
  expect(attentionOfPipeline({ through: '2026-11-15T23:59:30Z', rebuiltAt: null }, nowMs)).toEqual([]);
  expect(attentionOfPipeline({ through: null, rebuiltAt: null }, nowMs)).toMatchObject([
    { tone: 'plain', sentence: 'No aggregator has read an event yet, so there are no totals.' },
  ]);
  const late = { through: '2026-11-15T23:50:00Z', rebuiltAt: '2026-11-15T20:00:00Z' };
  expect(attentionOfPipeline(late, nowMs).map(({ sentence }) => sentence)).toEqual([
    'Totals are 10 min behind: the aggregators do not keep up, or do not run.',
    'Counters of Redis were rebuilt from ClickHouse from 15 Nov 2026, 20:00:00 UTC on, after a restart or a loss.',
  ]);
  const target = { tenant_id: 'a/b', channel: 'webhook', target: 'https://example.com/hook' };
  expect(attentionOfTargets([{ ...target, messages: 1, error: 'HTTP 500' }])).toEqual([
    {
      tone: 'warn',
      sentence:
        '1 notification of a/b could not be delivered by webhook to https://example.com/hook: HTTP 500',
      href: '/operator/tenants/a%2Fb',
    },
  ]);
});

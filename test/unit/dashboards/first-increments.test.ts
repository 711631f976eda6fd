import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { textOf, typeScriptFiles } from '../../tidy/sources.ts';
import { alertRules } from '../../../dashboards/alerts/alert-rules.ts';
import { renderAll } from '../../../dashboards/render.ts';
import { evaluationMetrics } from '../../../services/alerter/evaluate/evaluator.ts';
import { deliveryMetrics } from '../../../services/alerter/deliver/delivery-worker.ts';
import { aggregatorMetrics } from '../../../services/aggregator/metrics.ts';
import { createGatewayMetrics } from '../../../services/gateway/metrics.ts';
import { createIdentityMetrics } from '../../../shared/identity/metrics.ts';
import { consumerMetrics } from '../../../shared/kafka/metrics.ts';
import { reloadMetrics } from '../../../shared/policy/load.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { createLimiterMetrics } from '../../../shared/redis/decision/metrics.ts';

/** Counters of one process, as it exports them before its first request. */
async function exportedAtStart(): Promise<string> {
  const registry = new Registry();
  evaluationMetrics(registry, systemClock);
  deliveryMetrics(registry, () => ({ waiting: 0, active: 0 }));
  aggregatorMetrics(registry);
  createGatewayMetrics(registry);
  createIdentityMetrics(registry);
  reloadMetrics(registry);
  createLimiterMetrics(registry, () => 1);
  consumerMetrics(registry, 'aggregator');
  return registry.metrics();
}

test('B8: counters whose increase is shown or alerted are exported as 0 at the start, with every value of their labels', async () => {
  const text = await exportedAtStart();
  const queries = [...renderAll().values(), ...alertRules.map(({ query }) => query)].join('\n');
  const shown = new Set([...queries.matchAll(/increase\((tollgate_\w+)/g)].map(([, name = '']) => name));
  const registered = [...text.matchAll(/^# TYPE (\w+) counter$/gm)].map(([, name = '']) => name);
  const missing = registered.filter((name) => shown.has(name) && !new RegExp(`^${name}[{ ]`, 'm').test(text));
  expect(registered.filter((name) => shown.has(name)).length).toBeGreaterThan(5);
  expect(missing).toEqual([]);
});

/** Counters with labels that do not use `startAtZero`, with the reason. */
const notAtStart: Readonly<Record<string, string>> = {
  tollgate_lease_units_total: 'it is filled when it is read, with 0 for each result at the start',
  'shared/redis/server-metrics.ts': 'these counters are copies of counters of Redis',
  tollgate_connections_ended_total: 'each listener creates its series when it starts',
  tollgate_checks_total:
    'plans and limits are those of the policy; alerts and panels read rates of many requests',
};

test('B8: every counter with labels begins with its series at 0, or is listed with a reason', () => {
  const found = typeScriptFiles
    .filter((path) => /^(services|shared)\//.test(path))
    .flatMap((path) =>
      [...textOf(path).matchAll(/new Counter\(\{([^}]*)\}/g)].map((match) => ({ path, match })),
    );
  const missing = found.flatMap(({ path, match: { 1: options = '', index = 0 } }) => {
    const name = /name: '(\w+)'/.exec(options)?.[1] ?? '';
    if (!options.includes('labelNames: [') || name in notAtStart || path in notAtStart) return [];
    const text = textOf(path);
    const variable = /(?:const|let) (\w+) = $/.exec(text.slice(0, index).trimEnd() + ' ')?.[1];
    const started =
      /startAtZero\(\s*$/.test(text.slice(0, index)) ||
      (variable !== undefined &&
        new RegExp(`startAtZero\\(${variable},|\\b${variable}\\.inc\\(\\{.*\\}, 0\\)`).test(text));
    return started ? [] : [`${path}: ${name}`];
  });
  expect(found.length).toBeGreaterThan(20);
  expect(missing).toEqual([]);
});

test.each([
  ...['threshold', 'exceeded', 'recovered', 'forecast', 'rejections'].map(
    (kind) => `tollgate_alerts_total{kind="${kind}"} 0`,
  ),
  'tollgate_deliveries_total{channel="email",status="delivered"} 0',
  'tollgate_delivery_attempts_total{channel="slack",outcome="failed"} 0',
  'tollgate_redis_breaker_opened_total{reason="timeout"} 0',
  'tollgate_policy_reloads_total{result="refused"} 0',
  'tollgate_credentials_refused_total{status="503"} 0',
  'tollgate_jwks_fetches_total{result="unreachable"} 0',
  'tollgate_aggregator_step_failures_total{step="insert"} 0',
  'tollgate_api_events_total{result="unavailable"} 0',
  'tollgate_api_outcomes_total{result="expired"} 0',
  'tollgate_api_work_total{kind="eventBytes",result="limited"} 0',
  'tollgate_responses_total{entrypoint="proxy",status="5xx"} 0',
  'tollgate_upstream_failures_total{kind="timeout"} 0',
  'tollgate_kafka_rebalances_total{group="aggregator"} 0',
  'tollgate_kafka_consumer_restarts_total{group="aggregator"} 0',
  'tollgate_kafka_consumed_batches_total{group="aggregator",outcome="failed"} 0',
  'tollgate_check_duration_seconds_count{decided_by="node"} 0',
])('%s is exported at the start', async (line) => {
  expect(await exportedAtStart()).toContain(line);
});

test.each(['tollgate_check_duration_seconds', 'tollgate_redis_call_duration_seconds'])(
  '%s: a p99 far above the timeout of Redis is shown, not the largest bucket',
  async (name) => {
    const bounds = [
      ...(await exportedAtStart()).matchAll(new RegExp(`${name}_bucket\\{le="([\\d.]+)"`, 'g')),
    ];
    expect(Math.max(...bounds.map(([, bound]) => Number(bound)))).toBeGreaterThanOrEqual(1);
  },
);

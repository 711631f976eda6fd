import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { alertRules } from '../../../dashboards/alerts/alert-rules.ts';
import { renderAll } from '../../../dashboards/render.ts';
import { evaluationMetrics } from '../../../services/alerter/evaluate/evaluator.ts';
import { deliveryMetrics } from '../../../services/alerter/deliver/delivery-worker.ts';
import { aggregatorMetrics } from '../../../services/aggregator/metrics.ts';
import { createGatewayMetrics } from '../../../services/gateway/metrics.ts';
import { createIdentityMetrics } from '../../../shared/identity/metrics.ts';
import { reloadMetrics } from '../../../shared/policy/load.ts';
import { createLimiterMetrics } from '../../../shared/redis/decision/metrics.ts';

/** Counters of one process, as it exports them before its first request. */
async function exportedAtStart(): Promise<string> {
  const registry = new Registry();
  evaluationMetrics(registry);
  deliveryMetrics(registry, () => ({ waiting: 0, active: 0 }));
  aggregatorMetrics(registry);
  createGatewayMetrics(registry);
  createIdentityMetrics(registry);
  reloadMetrics(registry);
  createLimiterMetrics(registry, () => 1);
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
])('%s is exported at the start', async (line) => {
  expect(await exportedAtStart()).toContain(line);
});

test.each(['tollgate_check_duration_seconds', 'tollgate_redis_call_duration_seconds'])(
  '%s: a p99 far above the timeout of Redis is shown, not the largest bucket',
  async (name) => {
    const bounds = [...(await exportedAtStart()).matchAll(new RegExp(`${name}_bucket{le="([\\d.]+)"}`, 'g'))];
    expect(Math.max(...bounds.map(([, bound]) => Number(bound)))).toBeGreaterThanOrEqual(1);
  },
);

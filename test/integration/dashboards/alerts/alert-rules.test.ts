import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alertRules } from '../../../../dashboards/alerts/alert-rules.ts';
import { loopback } from '../../../../dashboards/settings.ts';
import { alertOf, inputSeries, openPromtool } from './promtool.ts';
import type { Promtool } from './promtool.ts';

/** Series with one sample a minute for 30 minutes, in promtool's notation. The rules are checked after 25 minutes. */
interface Case {
  readonly fires: Readonly<Record<string, string>>;
  readonly quiet: Readonly<Record<string, string>>;
  /** The summary that on-call reads. */
  readonly summary: string;
  /** The annotation `where`, for rules that have it. */
  readonly where?: string;
  /** Labels of the alert besides its severity. */
  readonly labels?: Readonly<Record<string, string>>;
}

const gateway = 'instance="a:8090"';
const down = 'job="tollgate-gateway",instance="a:8090"';

/** Series of one reachable target of every job. */
const allUp = Object.fromEntries(
  Object.keys(loopback.services).map((service) => [`up{job="tollgate-${service}",instance="b:1"}`, '1x30']),
);

/** For each rule, series for which it must fire, and similar series for which it must not. */
const cases: Readonly<Record<string, Case>> = {
  TollgateRejectionSpike: {
    summary: '40% of all requests are refused',
    where: 'limit minute of plan free (6.67 refused/s)',
    fires: {
      'tollgate_checks_total{decision="limited",plan="free",limit="minute"}': '0+400x30',
      'tollgate_checks_total{decision="allowed"}': '0+600x30',
    },
    quiet: {
      'tollgate_checks_total{decision="limited"}': '0+200x30',
      'tollgate_checks_total{decision="allowed"}': '0+800x30',
    },
  },
  TollgateRedisFailing: {
    summary: '60% of the checks of the last 2 minutes were decided without Redis',
    where: 'a:8090 (10 checks/s without Redis)',
    fires: {
      [`tollgate_checks_degraded_total{${gateway}}`]: '0+600x30',
      [`tollgate_checks_total{${gateway}}`]: '0+1000x30',
    },
    quiet: { tollgate_checks_degraded_total: '0+200x30', tollgate_checks_total: '0+1000x30' },
  },
  TollgateNodeDegraded: {
    summary: 'a:8090 decides without 1 of its Redis servers',
    fires: { [`tollgate_redis_servers_away{${gateway}}`]: '1x30' },
    quiet: { [`tollgate_redis_servers_away{${gateway}}`]: '0x30' },
    labels: { instance: 'a:8090' },
  },
  TollgateCheckSlow: {
    summary: 'The p99 latency of a check by Redis is 1.5ms',
    where: 'a:8090 (p99 1.5ms)',
    fires: checkBuckets({ upTo1ms: 980, all: 1000 }),
    quiet: checkBuckets({ upTo1ms: 995, all: 1000 }),
  },
  TollgateClockWrong: {
    summary: 'a:8090 measures that the clock of node is 15m 0s off',
    fires: { [`tollgate_clock_difference_seconds{${gateway},clock="node"}`]: '-900x30' },
    quiet: { [`tollgate_clock_difference_seconds{${gateway},clock="node"}`]: '-4x30' },
    labels: { instance: 'a:8090', clock: 'node' },
  },
  TollgateRedisClockSetBack: {
    summary: '12 windows in Redis had timestamps ahead of its clock',
    fires: { [`tollgate_redis_stamps_corrected_total{${gateway}}`]: '0x20 12x10' },
    quiet: { [`tollgate_redis_stamps_corrected_total{${gateway}}`]: '0x5 12x25' },
  },
  TollgateJwksStale: {
    ...{ summary: 'The public keys of a:8090 were fetched 25m 0s ago', labels: { instance: 'a:8090' } },
    fires: { [`tollgate_jwks_age_seconds{${gateway}}`]: '0+60x30' },
    quiet: { [`tollgate_jwks_age_seconds{${gateway}}`]: '61x30' },
  },
  TollgateLag: {
    summary: 'aggregator is 1m 30s behind',
    fires: { 'tollgate_kafka_lag_seconds{group="aggregator"}': '90x30' },
    quiet: { 'tollgate_kafka_lag_seconds{group="aggregator"}': '30x30' },
    labels: { group: 'aggregator' },
  },
  TollgateFreshness: {
    summary: 'Totals are 1m 1s old',
    fires: { tollgate_aggregator_lag_seconds: '61x30' },
    quiet: { tollgate_aggregator_lag_seconds: '59x30' },
  },
  TollgateDeadLetters: {
    summary: '1 record of tollgate.totals.v1 became a dead letter in 15 minutes',
    fires: {
      'tollgate_dead_letters_total{topic="tollgate.totals.v1"}': '0x20 1x10',
      'tollgate_dead_letters_total{topic="tollgate.usage.v1"}': '7x30',
    },
    quiet: { 'tollgate_dead_letters_total{topic="tollgate.totals.v1"}': '7x30' },
    labels: { topic: 'tollgate.totals.v1' },
  },
  TollgateProcessingFails: {
    summary: 'aggregator failed 3 times in 5 minutes by errors in its own code',
    fires: { 'tollgate_kafka_unexpected_failures_total{group="aggregator"}': '0x22 3x8' },
    quiet: { 'tollgate_kafka_unexpected_failures_total{group="aggregator"}': '3x30' },
    labels: { group: 'aggregator' },
  },
  TollgateSpoolFilling: {
    ...{ summary: 'a:8090 has events that are 25m 0s old', labels: { instance: 'a:8090' } },
    fires: { [`tollgate_spool_oldest_age_seconds{${gateway}}`]: '0+60x30' },
    quiet: { [`tollgate_spool_oldest_age_seconds{${gateway}}`]: '59x30' },
  },
  TollgateSpoolMemoryOnly: {
    summary: 'The disk of the spool on a:8090 accepts no events (1)',
    fires: { [`tollgate_spool_memory_only{${gateway}}`]: '1x30' },
    quiet: { [`tollgate_spool_memory_only{${gateway}}`]: '0x30' },
    labels: { instance: 'a:8090' },
  },
  TollgateEventsLost: {
    summary: 'a:8090 lost 8 usage events',
    fires: {
      [`tollgate_spool_dropped_total{${gateway},reason="full"}`]: '0x20 5x10',
      [`tollgate_events_unwritten_total{${gateway}}`]: '0x20 3x10',
    },
    quiet: { [`tollgate_spool_dropped_total{${gateway},reason="full"}`]: '5x30' },
    labels: { instance: 'a:8090' },
  },
  TollgateDrift: {
    summary: 'A counter in Redis and its total in ClickHouse differ by 501 units: Redis is behind',
    fires: { 'tollgate_drift_max_units{direction="behind"}': '501x30' },
    quiet: { 'tollgate_drift_max_units{direction="behind"}': '501x20 3x10' },
    labels: { direction: 'behind' },
  },
  TollgateLossFound: {
    summary: 'The audit misses 2 by offset',
    fires: { 'tollgate_audit_missing_events{kind="offset"}': '0x10 2x20' },
    quiet: { 'tollgate_audit_missing_events{kind="offset"}': '0x22 2x8' },
    labels: { kind: 'offset' },
  },
  TollgateHeartbeatMissing: {
    summary: 'No heartbeat arrived for 5m 0s',
    fires: { tollgate_heartbeat_last_success_timestamp_seconds: '0+60x20 1200x10' },
    quiet: { tollgate_heartbeat_last_success_timestamp_seconds: '0+60x30' },
  },
  TollgateTenantOver90: {
    summary: '2 quotas went over 90 % in 15 minutes',
    where: 'acme has used 96% of day (1000 units), globex has used 92% of spend (5 EUR)',
    fires: {
      tollgate_quotas_over_90_total: '0x20 2x10',
      'tollgate_quota_over_90_ratio{tenant="acme",limit="day",allowed="1000 units"}': '_x20 0.96x10',
      'tollgate_quota_over_90_ratio{tenant="globex",limit="spend",allowed="5 EUR"}': '_x20 0.92x10',
    },
    quiet: { tollgate_quotas_over_90_total: '9x30' },
  },
  TollgateReservationsExpired: {
    summary: '3 calls of the last hour were never settled',
    where: 'acme (2), globex (1)',
    fires: {
      tollgate_reservations_expired_recently: '0x10 3x20',
      'tollgate_reservations_expired_recently_by_tenant{tenant="acme"}': '_x10 2x20',
      'tollgate_reservations_expired_recently_by_tenant{tenant="globex"}': '_x10 1x20',
    },
    quiet: { tollgate_reservations_expired_recently: '0x22 3x8' },
  },
  TollgateDeliveriesFailing: {
    summary: '1 notification by webhook was given up in 15 minutes',
    fires: { 'tollgate_deliveries_total{channel="webhook",status="dead"}': '0x20 1x10' },
    quiet: {
      'tollgate_deliveries_total{channel="webhook",status="delivered"}': '0+9x30',
      'tollgate_deliveries_total{channel="webhook",status="dead"}': '3x30',
    },
    labels: { channel: 'webhook' },
  },
  TollgateKafkaUnavailable: {
    summary: '3 partitions of Kafka cannot be used',
    where: 'tollgate.usage.v1 (2), tollgate.totals.v1 (1)',
    fires: {
      'tollgate_kafka_offline_partitions{topic="tollgate.totals.v1"}': '1x30',
      'tollgate_kafka_offline_partitions{topic="tollgate.usage.v1"}': '2x30',
    },
    quiet: { 'tollgate_kafka_offline_partitions{topic="tollgate.usage.v1"}': '0x30' },
  },
  TollgateSpoolDiskFilling: {
    summary: 'a:8090 has only 9% of the disk of its spool free',
    fires: diskOf(9),
    quiet: diskOf(11),
    labels: { instance: 'a:8090' },
  },
  TollgateErrorBudgetFast: {
    summary: 'Requests fail by our fault: the error budget of 30 days is spent 15 times too fast',
    where: 'proxy on a:8090 (0.15 responses of 5xx/s)',
    fires: responses({ ours: 9, ofUpstream: 0 }),
    quiet: responses({ ours: 8, ofUpstream: 100 }),
  },
  TollgateErrorBudgetSlow: {
    summary: 'Some requests fail by our fault: the error budget of 30 days is spent 6.667 times too fast',
    where: 'proxy on a:8090 (0.0556 responses of 5xx/s)',
    fires: responses({ ours: 4, ofUpstream: 0 }),
    quiet: responses({ ours: 3, ofUpstream: 100 }),
  },
  TollgateServiceDown: {
    summary: 'tollgate-gateway at a:8090 does not answer (up is 0)',
    fires: { ...allUp, [`up{${down}}`]: '1x20 0x10' },
    quiet: { ...allUp, [`up{${down}}`]: '1x30' },
    labels: { job: 'tollgate-gateway', instance: 'a:8090' },
  },
};

function diskOf(free: number): Record<string, string> {
  return {
    [`tollgate_spool_disk_free_bytes{${gateway}}`]: `${free}x30`,
    [`tollgate_spool_disk_bytes{${gateway}}`]: '100x30',
  };
}

/** 600 requests a minute, of which some fail. */
function responses({ ours, ofUpstream }: { ours: number; ofUpstream: number }): Record<string, string> {
  const of = `${gateway},entrypoint="proxy"`;
  return {
    [`tollgate_responses_total{${of},status="2xx"}`]: `0+${600 - ours - ofUpstream}x30`,
    [`tollgate_responses_total{${of},status="5xx"}`]: `0+${ours + ofUpstream}x30`,
    [`tollgate_upstream_failures_total{${gateway},kind="status"}`]: `0+${ofUpstream}x30`,
  };
}

function checkBuckets({ upTo1ms, all }: { upTo1ms: number; all: number }): Record<string, string> {
  return {
    'tollgate_check_duration_seconds_bucket{decided_by="redis",instance="a:8090",le="0.0005"}': `0+${upTo1ms}x30`,
    'tollgate_check_duration_seconds_bucket{decided_by="redis",instance="a:8090",le="0.001"}': `0+${upTo1ms}x30`,
    'tollgate_check_duration_seconds_bucket{decided_by="redis",instance="a:8090",le="0.002"}': `0+${all}x30`,
    'tollgate_check_duration_seconds_bucket{decided_by="redis",instance="a:8090",le="+Inf"}': `0+${all}x30`,
    'tollgate_check_duration_seconds_count{decided_by="redis"}': `0+${all}x30`,
  };
}

let promtool: Promtool;

beforeAll(async () => {
  promtool = await openPromtool();
});

afterAll(() => promtool.close());

test('B8: Prometheus accepts its configuration and its rules', async () => {
  for (const [command, file] of [
    ['rules', 'rules.yml'],
    ['config', 'prometheus.yml'],
    ['config', 'prometheus.loopback.yml'],
  ] as const) {
    expect(await promtool.check(command, file)).toContain('SUCCESS');
  }
});

describe('B8: an alert fires above its threshold with its value in the summary, and does not fire below it', () => {
  test.each(alertRules)('$name', async ({ name }) => {
    const { fires, quiet, summary, labels, where } = cases[name] ?? {
      fires: {},
      quiet: {},
      summary: 'no case',
    };
    await runPromtool(name, [
      { series: fires, alerts: [alertOf(name, labels ?? {}, summary, where)] },
      { series: quiet, alerts: [] },
    ]);
  });
});

test('B8: without any series the heartbeat and every missing job raise an alert, and no other alert fires', async () => {
  const absent: Readonly<Record<string, readonly object[]>> = {
    TollgateHeartbeatMissing: [
      alertOf('TollgateHeartbeatMissing', {}, 'No heartbeat arrived for an unknown time'),
    ],
    TollgateServiceDown: Object.keys(loopback.services).map((service) => {
      const job = `tollgate-${service}`;
      return alertOf('TollgateServiceDown', { job }, `${job} does not answer (up is 0)`);
    }),
  };
  const names = alertRules.map(({ name }) => name);
  await promtool.testRules(names, [
    {
      interval: '1m',
      alert_rule_test: names.map((alertname) => ({
        ...{ eval_time: '25m', alertname, exp_alerts: absent[alertname] ?? [] },
      })),
    },
  ]);
});

interface Scenario {
  readonly series: Readonly<Record<string, string>>;
  readonly alerts: readonly object[];
}

/** Evaluates the rules over the series and compares the alerts after 25 minutes. */
function runPromtool(alertname: string, scenarios: readonly Scenario[]): Promise<void> {
  return promtool.testRules(
    [alertname],
    scenarios.map(({ series, alerts }) => ({
      interval: '1m',
      input_series: inputSeries(series),
      alert_rule_test: [{ eval_time: '25m', alertname, exp_alerts: alerts }],
    })),
  );
}

import { loopback } from '../../../../dashboards/settings.ts';
import { counterTimelines, gaugeTimelines } from './timelines.ts';
import { objectiveTimelines } from './objective-timelines.ts';
import type { Timeline } from './timelines.ts';

const labels = { instance: 'a:8090' };
const of = 'instance="a:8090"';

/** Timelines of every rule of Prometheus, by the name of the rule. */
export const ruleTimelines: Readonly<Record<string, readonly Timeline[]>> = {
  TollgateRejectionSpike: rejectionSpike(),
  TollgateRedisFailing: redisFailing(),
  TollgateNodeDegraded: gaugeTimelines({
    ...{ series: `tollgate_redis_servers_away{${of}}`, labels, good: 0, bad: 1, forMinutes: 1 },
    summary: 'a:8090 decides without 1 of its Redis servers',
  }),
  TollgateCheckSlow: checkSlow(),
  TollgateJwksStale: gaugeTimelines({
    ...{ series: `tollgate_jwks_age_seconds{${of}}`, labels, good: 60, bad: 240, forMinutes: 1 },
    summary: 'The public keys of a:8090 were fetched 4m 0s ago',
  }),
  TollgateClockWrong: gaugeTimelines({
    series: `tollgate_clock_difference_seconds{${of},clock="redis"}`,
    ...{ labels: { ...labels, clock: 'redis' }, good: 0, bad: -90, forMinutes: 1 },
    summary: 'a:8090 measures that the clock of redis is 1m 30s off',
  }),
  TollgateRedisClockSetBack: counterTimelines({
    ...{ series: `tollgate_redis_stamps_corrected_total{${of}}`, rangeMinutes: 10 },
    summary: (count) => `${count} windows in Redis had timestamps ahead of its clock`,
  }),
  TollgateLag: gaugeTimelines({
    ...{ series: 'tollgate_kafka_lag_seconds{group="aggregator"}', labels: { group: 'aggregator' } },
    ...{ good: 0, bad: 90, forMinutes: 2, keepFiringMinutes: 2 },
    summary: 'aggregator is 1m 30s behind',
  }),
  TollgateFreshness: gaugeTimelines({
    ...{ series: 'tollgate_aggregator_lag_seconds', good: 1, bad: 90, forMinutes: 3 },
    summary: 'Totals are 1m 30s old',
  }),
  TollgateDeadLetters: counterTimelines({
    ...{ series: 'tollgate_dead_letters_total{topic="tollgate.usage.v1"}', rangeMinutes: 15 },
    labels: { topic: 'tollgate.usage.v1' },
    summary: (count) =>
      count === 1
        ? '1 record of tollgate.usage.v1 became a dead letter in 15 minutes'
        : `${count} records of tollgate.usage.v1 became dead letters in 15 minutes`,
  }),
  TollgateProcessingFails: counterTimelines({
    ...{ series: 'tollgate_kafka_unexpected_failures_total{group="aggregator"}', rangeMinutes: 5 },
    labels: { group: 'aggregator' },
    summary: (count) =>
      count === 1
        ? 'aggregator failed 1 time in 5 minutes by an error in its own code'
        : `aggregator failed ${count} times in 5 minutes by errors in its own code`,
  }),
  TollgateSpoolFilling: gaugeTimelines({
    ...{ series: `tollgate_spool_oldest_age_seconds{${of}}`, labels, good: 0, bad: 90, forMinutes: 1 },
    summary: 'a:8090 has events that are 1m 30s old',
  }),
  TollgateSpoolMemoryOnly: gaugeTimelines({
    ...{ series: `tollgate_spool_memory_only{${of}}`, labels, good: 0, bad: 1, forMinutes: 1 },
    summary: 'The disk of the spool on a:8090 accepts no events (1)',
  }),
  TollgateEventsLost: [
    ...counterTimelines({
      ...{ series: `tollgate_spool_dropped_total{${of},reason="full"}`, labels, rangeMinutes: 10 },
      summary: (count) => `a:8090 lost ${count} usage ${count === 1 ? 'event' : 'events'}`,
    }),
    ...counterTimelines({
      ...{ series: `tollgate_events_unwritten_total{${of}}`, labels, rangeMinutes: 10 },
      summary: (count) => `a:8090 lost ${count} usage ${count === 1 ? 'event' : 'events'}`,
    }),
  ],
  TollgateDrift: gaugeTimelines({
    ...{ series: 'tollgate_drift_max_units{direction="ahead"}', labels: { direction: 'ahead' } },
    ...{ good: 3, bad: 900, forMinutes: 10 },
    summary: 'A counter in Redis and its total in ClickHouse differ by 900 units: Redis is ahead',
  }),
  TollgateLossFound: gaugeTimelines({
    ...{ series: 'tollgate_audit_missing_events{kind="sequence"}', labels: { kind: 'sequence' } },
    ...{ good: 0, bad: 7, forMinutes: 6 },
    summary: 'The audit misses 7 by sequence',
  }),
  TollgateHeartbeatMissing: heartbeatMissing(),
  TollgateTenantOver90: counterTimelines({
    ...{ series: 'tollgate_quotas_over_90_total', rangeMinutes: 15 },
    others: { 'tollgate_quota_over_90_ratio{tenant="acme",limit="spend",allowed="5 EUR"}': '0.93x200' },
    where: 'acme has used 93% of spend (5 EUR)',
    summary: (count) => `${count} ${count === 1 ? 'quota' : 'quotas'} went over 90 % in 15 minutes`,
  }),
  TollgateServiceDown: serviceDown(),
  TollgateKafkaUnavailable: gaugeTimelines({
    ...{ series: 'tollgate_kafka_offline_partitions{topic="tollgate.usage.v1"}', good: 0, bad: 12 },
    ...{ forMinutes: 1, keepFiringMinutes: 2, where: 'tollgate.usage.v1 (12)' },
    summary: '12 partitions of Kafka cannot be used',
  }),
  TollgateSpoolDiskFilling: gaugeTimelines({
    ...{ series: `tollgate_spool_disk_free_bytes{${of}}`, labels, good: 50, bad: 5, forMinutes: 5 },
    others: { [`tollgate_spool_disk_bytes{${of}}`]: '100x200' },
    summary: 'a:8090 has only 5% of the disk of its spool free',
  }),
  ...objectiveTimelines,
  TollgateReservationsExpired: gaugeTimelines({
    ...{ series: 'tollgate_reservations_expired_recently', good: 0, bad: 4, forMinutes: 5 },
    others: { 'tollgate_reservations_expired_recently_by_tenant{tenant="acme"}': '4x200' },
    ...{ where: 'acme (4)', summary: '4 calls of the last hour were never settled' },
  }),
  TollgateDeliveriesFailing: counterTimelines({
    ...{ series: 'tollgate_deliveries_total{channel="webhook",status="dead"}', rangeMinutes: 15 },
    labels: { channel: 'webhook' },
    summary: (count) =>
      count === 1
        ? '1 notification by webhook was given up in 15 minutes'
        : `${count} notifications by webhook were given up in 15 minutes`,
  }),
};

function rejectionSpike(): Timeline[] {
  const limited = 'tollgate_checks_total{decision="limited",plan="free",limit="minute"}';
  const allowed = 'tollgate_checks_total{decision="allowed",plan="free",limit=""}';
  const summary = '60% of all requests are refused';
  const where = 'limit minute of plan free (60 refused/s)';
  return [
    {
      title: 'a client in a loop for 20 minutes',
      series: { [limited]: '0x12 600+600x120 72600x60', [allowed]: '0+1000x12 12400+400x120 60400+400x60' },
      expected: { 120: null, 480: null, 900: summary, 1300: summary, 1800: null },
      ...{ labels: {}, where },
    },
    {
      title: 'two minutes of scrapes are missing, and the gateway restarts',
      series: {
        [limited]: '0x12 600+600x60 _x12 43800+600x30 stale _x3 0+600x60',
        [allowed]: '0+1000x12 12400+400x60 _x12 41200+400x30 stale _x3 0+400x60',
      },
      expected: { 120: null, 840: summary, 1600: summary },
      ...{ labels: {}, where, whereAt: { 840: 'limit minute of plan free (39 refused/s)' } },
    },
    {
      title: 'all gateways vanish',
      series: { [limited]: '0x12 600+600x90 stale _x60', [allowed]: '0+1000x12 12400+400x90 stale _x60' },
      expected: { 120: null, 1000: summary, 1500: null },
      ...{ labels: {}, where },
    },
    {
      title: 'hardly any request: no alert',
      series: { [limited]: '0x12 1+1x90', [allowed]: '0+1x12 12x90' },
      expected: { 120: null, 1000: null },
      labels: {},
    },
  ];
}

function redisFailing(): Timeline[] {
  const checks = `tollgate_checks_total{${of}}`;
  const degraded = `tollgate_checks_degraded_total{${of}}`;
  const summary = (percent: number): string =>
    `${percent}% of the checks of the last 2 minutes were decided without Redis`;
  return [
    {
      title: 'Redis is stopped for a minute',
      series: { [checks]: '0+100x60', [degraded]: '0x12 100+100x5 600x42' },
      expected: { 120: null, 180: summary(50), 360: null },
      ...{ labels: {}, where: 'a:8090 (5 checks/s without Redis)' },
    },
    {
      title: 'Redis stays away, and a minute of scrapes is missing',
      series: { [checks]: '0+100x30 _x6 3700+100x30', [degraded]: '0x12 100+100x17 _x6 2500+100x30' },
      expected: { 120: null, 300: summary(100), 340: summary(100), 500: summary(100) },
      ...{ labels: {}, where: 'a:8090 (10 checks/s without Redis)' },
      whereAt: { 340: 'a:8090 (7.08 checks/s without Redis)' },
    },
    {
      title: 'the gateway restarts while Redis is away',
      series: {
        [checks]: '0+100x30 stale _x2 0+100x30',
        [degraded]: '0x12 100+100x17 stale _x2 0+100x30',
      },
      expected: { 120: null, 300: summary(100), 520: summary(100) },
      ...{ labels: {}, where: 'a:8090 (10 checks/s without Redis)' },
    },
    {
      title: 'the gateway vanishes',
      series: { [checks]: '0+100x30 stale _x60', [degraded]: '0x12 100+100x17 stale _x60' },
      expected: { 120: null, 300: summary(100), 460: null },
      ...{ labels: {}, where: 'a:8090 (10 checks/s without Redis)' },
    },
  ];
}

function checkSlow(): Timeline[] {
  /** 10 checks a second that all take between `from` and twice that time, from a sample on. */
  const buckets = (fast: string, all: string): Record<string, string> => ({
    [`tollgate_check_duration_seconds_bucket{decided_by="redis",${of},le="0.001"}`]: fast,
    [`tollgate_check_duration_seconds_bucket{decided_by="redis",${of},le="0.002"}`]: all,
    [`tollgate_check_duration_seconds_bucket{decided_by="redis",${of},le="+Inf"}`]: all,
    [`tollgate_check_duration_seconds_count{decided_by="redis",${of}}`]: all,
  });
  const summary = 'The p99 latency of a check by Redis is 1.99ms';
  const shared = { labels: {}, where: 'a:8090 (p99 1.99ms)' };
  return [
    {
      title: 'every check is slow for 15 minutes',
      series: buckets('0+100x12 1200x90 1200+100x60', '0+100x162'),
      expected: { 120: null, 400: null, 900: summary, 1500: null },
      ...shared,
    },
    {
      title: 'two minutes of scrapes are missing, and the gateway restarts',
      series: buckets(
        '0+100x12 1200x50 _x12 1200x20 stale _x2 0x60',
        '0+100x62 _x12 7500+100x20 stale _x2 0+100x60',
      ),
      expected: { 120: null, 700: summary, 940: summary, 1400: summary },
      ...shared,
    },
    {
      title: 'all gateways vanish',
      series: buckets('0+100x12 1200x60 stale _x60', '0+100x72 stale _x60'),
      expected: { 120: null, 700: summary, 1100: null },
      ...shared,
    },
  ];
}

function heartbeatMissing(): Timeline[] {
  const series = 'tollgate_heartbeat_last_success_timestamp_seconds';
  const none = 'No heartbeat arrived for an unknown time';
  return [
    {
      title: 'the pipeline is broken for 7 minutes',
      series: { [series]: '0+10x12 120x42 550+10x30' },
      expected: { 120: null, 350: null, 370: 'No heartbeat arrived for 4m 10s', 560: null },
      labels: {},
    },
    {
      title: 'two minutes of scrapes are missing',
      series: { [series]: '0+10x12 _x12 250+10x30' },
      expected: { 120: null, 200: null, 300: null },
      labels: {},
    },
    {
      title: 'a restarted alerter has no heartbeat yet',
      series: { [series]: '0+10x12 stale _x2 0x3 190+10x30' },
      expected: { 120: null, 180: null, 240: null },
      labels: {},
    },
    {
      title: 'the alerter vanishes, and starts again',
      series: { [series]: '0+10x12 stale _x24 380+10x30' },
      expected: { 120: null, 180: null, 220: none, 360: none, 400: null },
      labels: {},
    },
  ];
}

function serviceDown(): Timeline[] {
  const others = Object.fromEntries(
    Object.keys(loopback.services)
      .filter((service) => service !== 'aggregator')
      .map((service) => [`up{job="tollgate-${service}",instance="b:1"}`, '1x90']),
  );
  const series = 'up{job="tollgate-aggregator",instance="a:8091"}';
  const killed = 'tollgate-aggregator at a:8091 does not answer (up is 0)';
  const gone = 'tollgate-aggregator does not answer (up is 0)';
  const target = { job: 'tollgate-aggregator', instance: 'a:8091' };
  return [
    {
      title: 'the aggregator is killed, and starts again after 4 minutes',
      series: { ...others, [series]: '1x11 0x23 1x50' },
      expected: { 120: null, 170: null, 180: killed, 460: killed, 490: null },
      labels: target,
    },
    {
      title: 'one scrape of a restarting aggregator fails',
      series: { ...others, [series]: '1x11 0x2 1x50' },
      expected: { 120: null, 180: null, 300: null },
      labels: target,
    },
    {
      title: 'two minutes of scrapes are missing',
      series: { ...others, [series]: '1x11 _x12 1x50' },
      expected: { 180: null, 240: null, 300: null },
      labels: target,
    },
    {
      title: 'the aggregator disappears from the targets',
      series: { ...others, [series]: '1x11 stale _x23 1x50' },
      expected: { 120: null, 170: null, 180: gone, 460: gone, 490: null },
      labels: { job: 'tollgate-aggregator' },
    },
  ];
}

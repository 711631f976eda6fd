import type { Figure, Figures } from './figures-of-series.ts';

/** Expected figures of a panel, computed as its description states: one entry for each query of the panel, in their order. */
export type Shown = (f: Figures, nowSeconds: number) => readonly (readonly Figure[])[];

const single = (value: number): Figure[] => [{ labels: {}, value }];
const valueOf = ([figure]: readonly Figure[]): number => figure?.value ?? NaN;
const ratio = (a: readonly Figure[], b: readonly Figure[]): Figure[] => single(valueOf(a) / valueOf(b));
const ratios = (a: readonly Figure[], b: readonly Figure[]): Figure[] =>
  a.map(({ labels, value }, index) => ({ labels, value: value / (b[index]?.value ?? NaN) }));
const times = (factor: number, figures: readonly Figure[]): Figure[] =>
  figures.map(({ labels, value }) => ({ labels, value: value * factor }));
const ago = (nowSeconds: number, figures: readonly Figure[]): Figure[] =>
  figures.map(({ labels, value }) => ({ labels, value: nowSeconds - value }));
const up: Readonly<Record<string, string>> = { job: 'tollgate-gateway' };
const byRedis = { decided_by: 'redis' };

const shareRefused = (f: Figures): Figure[] =>
  ratio(f.rates('tollgate_checks_total', [], { decision: 'limited' }), f.rates('tollgate_checks_total'));
const ownErrors = (f: Figures): Figure[] => {
  const failed = valueOf(f.rates('tollgate_responses_total', [], { status: '5xx' }));
  const byUpstream = valueOf(f.rates('tollgate_upstream_failures_total'));
  return single(Math.max(0, failed - byUpstream) / valueOf(f.rates('tollgate_responses_total')));
};
const upstreamErrors = (f: Figures): Figure[] =>
  ratio(f.rates('tollgate_upstream_failures_total'), f.rates('tollgate_responses_total'));
const withoutRedis = (f: Figures): Figure[] =>
  ratio(f.rates('tollgate_checks_degraded_total'), f.rates('tollgate_checks_total'));
const mean = (f: Figures, histogram: string, by: readonly string[] = []): Figure[] =>
  ratios(f.rates(`${histogram}_sum`, by), f.rates(`${histogram}_count`, by));
const p =
  (q: number, histogram: string, where = {}): Shown =>
  (f) => [f.quantiles(q, histogram, [], where)];
const p50and99 =
  (histogram: string): Shown =>
  (f) => [f.quantiles(0.5, histogram), f.quantiles(0.99, histogram)];

/** The rate window of the test in minutes. */
const window = 2;

export const fleetFigures: Readonly<Record<string, Shown>> = {
  Refused: (f) => [shareRefused(f)],
  'Our errors': (f) => [ownErrors(f)],
  'Upstream errors': (f) => [upstreamErrors(f)],
  'p99 of a check': p(0.99, 'tollgate_check_duration_seconds', byRedis),
  'Without Redis': (f) => [withoutRedis(f)],
  'Services up': (f) => {
    const values = f.each('up', up).map(({ value }) => value);
    return [single(values.reduce((total, value) => total + value, 0) / values.length)];
  },
  'Since when: requests that did not succeed': (f) => [
    ...[shareRefused(f), ownErrors(f), upstreamErrors(f), withoutRedis(f)],
  ],
  'Where: requests that failed, by gateway': (f) => [
    f.rates('tollgate_responses_total', ['instance'], { status: '5xx' }),
    f.rates('tollgate_checks_degraded_total', ['instance']),
  ],
  'What changed last': (f) => [
    [
      ...times(1000, f.largest('process_start_time_seconds', ['service', 'instance'], up)),
      ...times(1000, f.largest('tollgate_policy_loaded_timestamp_seconds', ['service', 'instance'])),
    ],
  ],
  'Error budget: speed of its use': (f) => [
    times(1000, f.each('tollgate:own_errors:ratio_rate1h')),
    times(1000, f.each('tollgate:own_errors:ratio_rate6h')),
  ],
  'Latency budget: speed of its use': (f) => [
    times(100, f.each('tollgate:slow_checks:ratio_rate1h')),
    times(100, f.each('tollgate:slow_checks:ratio_rate6h')),
  ],
  'Late events': (f) => [f.each('tollgate:late_events:ratio_rate1h')],
  'Checks by decision': (f) => [f.rates('tollgate_checks_total', ['decision'])],
  'Share refused': (f) => [shareRefused(f)],
  'Refusals by limit': (f) => [f.rates('tollgate_checks_total', ['limit'], { decision: 'limited' })],
  'Checks by plan': (f) => [f.rates('tollgate_checks_total', ['plan'])],
  'Responses by entrypoint and status': (f) => [
    f.rates('tollgate_responses_total', ['entrypoint', 'status']),
  ],
  'Requests in flight': (f) => [f.sums('tollgate_requests_open', ['instance'])],
  'Latency of a check': (f) => [
    ...[0.5, 0.95, 0.99].map((q) => f.quantiles(q, 'tollgate_check_duration_seconds', [], byRedis)),
    f.quantiles(0.99, 'tollgate_check_duration_seconds', [], { decided_by: 'node' }),
  ],
  'p99 of a check by gateway': (f) => [
    f.quantiles(0.99, 'tollgate_check_duration_seconds', ['instance'], byRedis),
  ],
  'Upstream and slow-down': (f) => [
    f.quantiles(0.99, 'tollgate_upstream_duration_seconds'),
    f.quantiles(0.99, 'tollgate_slow_down_delay_seconds'),
  ],
  'Degraded checks': (f) => [f.rates('tollgate_checks_degraded_total', ['instance'])],
  'Redis servers unavailable': (f) => [
    f.sums('tollgate_redis_servers_away', ['instance']),
    f.increases('tollgate_redis_breaker_opened_total', window, ['reason']),
  ],
  'Latency of a Redis call': p50and99('tollgate_redis_call_duration_seconds'),
  'Checks per Redis call': (f) => [mean(f, 'tollgate_redis_batch_checks')],
  'Live nodes': (f) => [f.each('tollgate_nodes_live')],
  Policy: (f, now) => [ago(now, f.each('tollgate_policy_loaded_timestamp_seconds'))],
  'Edits of the policy': (f) => [f.increases('tollgate_policy_reloads_total', window, ['result'])],
  'Memory of Redis': (f) => [
    f.largest('tollgate_redis_memory_bytes', ['server']),
    f.largest('tollgate_redis_memory_max_bytes', ['server']),
  ],
  'Keys evicted by Redis': (f) => [
    times(window * 2, f.largest('tollgate_redis_evicted_keys_total', ['server'])),
  ],
  'Commands of Redis': (f) => [times(1 / 30, f.largest('tollgate_redis_commands_total', ['server']))],
  'Own latency of Redis': (f) => [
    ['server-1', 'server-2'].map((server) => {
      const [spent, calls] = ['seconds', 'calls'].map((what) =>
        f.each(`tollgate_redis_script_${what}_total`, { server }).map(({ value }) => value),
      );
      const values = (spent ?? []).map((seconds, index) => seconds / (calls?.[index] ?? NaN));
      return { labels: { server }, value: Math.max(...values) };
    }),
  ],
  'Age of public keys': (f) => [f.each('tollgate_jwks_age_seconds')],
  'Fetches of public keys': (f) => [f.rates('tollgate_jwks_fetches_total', ['result'])],
  'Refused credentials': (f) => [
    f.rates('tollgate_credentials_refused_total', ['status']),
    f.rates('tollgate_events_sampled_out_total'),
  ],
  'Tokens verified': (f) => [f.rates('tollgate_token_verifications_total', ['result'])],
  'Clock difference': (f) => [f.largest('tollgate_clock_difference_seconds', ['instance', 'clock'])],
  'Timestamps corrected in Redis': (f) => [
    f.increases('tollgate_redis_stamps_corrected_total', window, ['instance']),
  ],
  CPU: (f) => [times(1 / 30, f.each('process_cpu_seconds_total', up))],
  'Event loop delay': (f) => [f.each('nodejs_eventloop_lag_p99_seconds', up)],
  'Garbage collection': (f) => [f.rates('nodejs_gc_duration_seconds_sum', ['service', 'instance'], up)],
  Memory: (f) => [f.each('process_resident_memory_bytes', up)],
  'Open file handles': (f) => [ratios(f.each('process_open_fds', up), f.each('process_max_fds', up))],
  Starts: (f) => [times(0, f.each('process_start_time_seconds', up))],
  'Lag by consumer': (f) => [f.largest('tollgate_kafka_lag_seconds', ['group'])],
  Freshness: (f) => [f.largest('tollgate_aggregator_lag_seconds')],
};

export const tenantFigures: Readonly<Record<string, Shown>> = {
  'Units per minute against the plan’s minute limits': (f) => [
    f.largest('tollgate_policy_limit_units', ['limit'], limitOf('sliding', '60')),
  ],
  'Units of the day against the plan’s day quota': (f) => [
    f.largest('tollgate_policy_limit_units', ['limit'], limitOf('quota', '86400')),
  ],
};

function limitOf(type: string, window_seconds: string): Readonly<Record<string, string>> {
  return { plan: 'pro', route: '', type, window_seconds };
}

export const spendFigures: Readonly<Record<string, Shown>> = {
  'Open and expired reservations': (f) => {
    const [open, expired] = [
      f.largest('tollgate_reservations_open'),
      f.largest('tollgate_reservations_expired'),
    ];
    const recently = f.largest('tollgate_reservations_expired_recently');
    return [single(valueOf(open) - valueOf(expired)), expired, recently];
  },
};

export const pipelineFigures: Readonly<Record<string, Shown>> = {
  'Event to total, p99': p(0.99, 'tollgate_aggregator_freshness_seconds'),
  'Oldest in a spool': (f) => [f.largest('tollgate_spool_oldest_age_seconds')],
  'Dead letters': (f) => [f.increases('tollgate_dead_letters_total', 60)],
  'Unexpected failures': (f) => [f.increases('tollgate_kafka_unexpected_failures_total', 60, ['group'])],
  'Events lost': (f) => [
    single(
      valueOf(f.increases('tollgate_spool_dropped_total', 60)) +
        valueOf(f.increases('tollgate_events_unwritten_total', 60)),
    ),
  ],
  Heartbeat: (f, now) => [ago(now, f.largest('tollgate_heartbeat_last_success_timestamp_seconds'))],
  'Age of the spool': (f) => [f.largest('tollgate_spool_oldest_age_seconds', ['instance'])],
  'Bytes of the spool': (f) => [f.sums('tollgate_spool_bytes', ['instance'])],
  'Events into the spool': (f) => [
    f.rates('tollgate_spool_appended_total'),
    f.rates('tollgate_spool_dropped_total', ['reason']),
    f.rates('tollgate_spool_write_failures_total'),
  ],
  'Events in memory only': (f) => [
    f.sums('tollgate_spool_memory_bytes', ['instance']),
    f.rates('tollgate_spool_unstored_total', ['instance']),
    f.largest('tollgate_spool_memory_only', ['instance']),
  ],
  'Free disk of the spool': (f) => [
    ratios(
      f.largest('tollgate_spool_disk_free_bytes', ['instance']),
      f.largest('tollgate_spool_disk_bytes', ['instance']),
    ),
  ],
  'Time to write': p50and99('tollgate_spool_write_seconds'),
  'Produced and consumed': (f) => [
    f.rates('tollgate_kafka_produced_records_total', ['topic']),
    f.rates('tollgate_kafka_consumed_records_total', ['group']),
  ],
  'Lag in seconds': (f) => [f.largest('tollgate_kafka_lag_seconds', ['group'])],
  'Lag in records': (f) => [
    f.sums('tollgate_kafka_lag_messages', ['group']),
    f.sums('tollgate_kafka_buffered_records', ['group']),
  ],
  'Time to acknowledge': p50and99('tollgate_kafka_produce_seconds'),
  'Produce failures': (f) => [
    f.increases('tollgate_kafka_produce_failures_total', window, ['topic', 'kind']),
    f.sums('tollgate_kafka_produce_waiting'),
  ],
  'Batches and rebalances': (f) => [
    f.rates('tollgate_kafka_consumed_batches_total', ['group', 'outcome']),
    f.increases('tollgate_kafka_rebalances_total', window, ['group']),
    f.increases('tollgate_kafka_consumer_restarts_total', window, ['group']),
  ],
  'Offline partitions': (f) => [f.largest('tollgate_kafka_offline_partitions', ['topic'])],
  'Under-replicated partitions': (f) => [f.largest('tollgate_kafka_under_replicated_partitions', ['topic'])],
  Brokers: (f) => [f.largest('tollgate_kafka_brokers')],
  'Lag by partition': (f) => [
    f.largest('tollgate_kafka_partition_lag_records', ['group', 'topic', 'partition']),
  ],
  'Rows and repeats': (f) =>
    ['rows', 'repeats', 'dead_letters'].map((what) => f.rates(`tollgate_aggregator_${what}_total`)),
  'Age of the totals': (f) => [
    f.largest('tollgate_aggregator_lag_seconds'),
    f.quantiles(0.99, 'tollgate_aggregator_freshness_seconds'),
  ],
  'Time of each step': (f) => [mean(f, 'tollgate_aggregator_step_seconds', ['step'])],
  Blocks: (f) => [
    mean(f, 'tollgate_aggregator_block_rows'),
    f.rates('tollgate_aggregator_blocks_total'),
    f.increases('tollgate_aggregator_step_failures_total', window, ['step']),
  ],
  Drift: (f) => [f.largest('tollgate_drift_max_units', ['direction'])],
  'Restored counters': (f) => [
    f.rates('tollgate_quota_comparisons_total', ['result']),
    f.rates('tollgate_quota_raised_units_total'),
  ],
  'Trust and rebuilds': (f) => [
    f.smallest('tollgate_counters_trusted'),
    f.increases('tollgate_rebuilds_total', window),
    f.increases('tollgate_counter_checks_failed_total', window),
  ],
  'Losses found': (f) => [
    f.largest('tollgate_audit_missing_events', ['kind']),
    f.largest('tollgate_audit_disagreeing_days'),
    f.largest('tollgate_audit_spools_set_back'),
  ],
  'Age of the audit': (f, now) => [ago(now, f.largest('tollgate_audit_last_success_timestamp_seconds'))],
  'Time to rebuild': p(0.99, 'tollgate_rebuild_seconds'),
  'Alerts raised': (f) => [f.increases('tollgate_alerts_total', window, ['kind'])],
  'Quotas over 90 %': (f) => [f.increases('tollgate_quotas_over_90_total', 15)],
  Deliveries: (f) => [
    f.increases('tollgate_deliveries_total', window, ['channel', 'status']),
    f.sums('tollgate_deliveries_pending', ['state']),
  ],
  Attempts: (f) => [f.increases('tollgate_delivery_attempts_total', window, ['channel', 'outcome'])],
  'From total to alert to delivery': (f) =>
    ['evaluation_age', 'delivery_age', 'delivery_attempt'].map((what) =>
      f.quantiles(0.99, `tollgate_${what}_seconds`),
    ),
  'Unreadable totals': (f) => [f.increases('tollgate_totals_unreadable_total', window, ['service'])],
};

/**
 * While the alert `source` fires, Alertmanager sends no notification for the alerts in `targets`, because the same fault
 * causes them. An alert never suppresses one of a higher severity, and the relation has no cycles.
 */
export interface Inhibition {
  readonly source: string;
  /** Regular expressions for labels of the source. */
  readonly sourceLabels?: Readonly<Record<string, string>>;
  readonly targets: readonly string[];
  /** Regular expressions for labels of the targets. */
  readonly targetLabels?: Readonly<Record<string, string>>;
  /** Labels whose values must be equal in source and target. */
  readonly equal?: readonly string[];
}

/** Effects of an aggregator that makes no progress. Settlements are stored late, so calls look as if they had none. */
const totalsAreLate = [
  'TollgateFreshness',
  'TollgateHeartbeatMissing',
  'TollgateReservationsExpired',
] as const;
/** With a prefix for topics, the names of consumer groups begin with it. */
const ofAggregator = { group: '.*aggregator' };

export const inhibitions: readonly Inhibition[] = [
  // Most nodes decide without Redis: each node's own alert, slow checks and early refusals are consequences.
  {
    source: 'TollgateRedisFailing',
    targets: ['TollgateNodeDegraded', 'TollgateCheckSlow', 'TollgateRejectionSpike'],
  },
  { source: 'TollgateNodeDegraded', targets: ['TollgateCheckSlow'] },
  { source: 'TollgateServiceDown', sourceLabels: { job: 'tollgate-aggregator' }, targets: totalsAreLate },
  {
    source: 'TollgateServiceDown',
    sourceLabels: { job: 'tollgate-aggregator' },
    targets: ['TollgateLag'],
    targetLabels: ofAggregator,
  },
  // The alerter sends the heartbeat and receives it.
  {
    source: 'TollgateServiceDown',
    sourceLabels: { job: 'tollgate-alerter' },
    targets: ['TollgateHeartbeatMissing'],
  },
  { source: 'TollgateServiceDown', sourceLabels: { job: 'tollgate-reconciler' }, targets: ['TollgateDrift'] },
  { source: 'TollgateProcessingFails', targets: ['TollgateLag'], equal: ['group'] },
  { source: 'TollgateProcessingFails', targets: ['TollgateDeadLetters'] },
  { source: 'TollgateProcessingFails', sourceLabels: ofAggregator, targets: totalsAreLate },
  // Without Kafka, everything behind it is late. A gateway whose spool fills says nothing new.
  { source: 'TollgateKafkaUnavailable', targets: ['TollgateSpoolFilling', 'TollgateLag', ...totalsAreLate] },
  // Settlements wait in the spool, or are lost with it.
  { source: 'TollgateSpoolFilling', targets: ['TollgateReservationsExpired'] },
  { source: 'TollgateEventsLost', targets: ['TollgateReservationsExpired'] },
  { source: 'TollgateSpoolMemoryOnly', targets: ['TollgateSpoolDiskFilling'], equal: ['instance'] },
  { source: 'TollgateLag', sourceLabels: ofAggregator, targets: totalsAreLate },
  // Events that are missing in ClickHouse leave the counters in Redis ahead of its totals.
  { source: 'TollgateEventsLost', targets: ['TollgateLossFound', 'TollgateDrift'] },
  { source: 'TollgateLossFound', targets: ['TollgateDrift'] },
  { source: 'TollgateClockWrong', targets: ['TollgateRedisClockSetBack'] },
];

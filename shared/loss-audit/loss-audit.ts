import { setTimeout as wait } from 'node:timers/promises';
import type { ClickHouse } from '../clickhouse/client.ts';
import { compareLevels } from '../clickhouse/queries/level-sums.ts';
import type { LevelSums } from '../clickhouse/queries/level-sums.ts';
import { missingCount } from '../clickhouse/queries/number-gaps.ts';
import type { MissingRange } from '../clickhouse/queries/number-gaps.ts';
import { completeThrough } from '../clickhouse/queries/usage.ts';
import type { Policy } from '../domain/policy.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import { readConsumedWindow } from '../kafka/offsets/consumed-window.ts';
import type { Kafka } from '../kafka/kafkajs/kafka.ts';
import type { Topics } from '../kafka/topics.ts';
import type { Limiter } from '../redis/decision/limiter.ts';
import type { Clock } from '../runtime/time/clock.ts';
import { compareCounters, readCounters } from './counters.ts';
import type { CounterDifference, CounterReading } from './counters.ts';
import { auditOffsets } from './offsets.ts';
import type { OffsetFindings } from './offsets.ts';
import { findRecreations } from './recreations.ts';
import { auditSequences } from './sequences.ts';

/** An event in Kafka that is not in ClickHouse although the aggregator has committed its offset. */
export interface LostRecord {
  readonly partition: number;
  readonly offset: number;
  readonly tenant_id: string | null;
  readonly event_id: string | null;
}

export interface LossReport {
  /** Number of accepted events that are in no table: the lost records and the missing sequence numbers. */
  readonly lost: number;
  readonly lostRecords: readonly LostRecord[];
  /** Sequence numbers that are neither in Kafka nor in ClickHouse, by run id of a gateway's spool. */
  readonly missingSequences: Readonly<Record<string, readonly MissingRange[]>>;
  /** Run ids whose sequence numbers an earlier run had used: the spool folder was restored from a backup, or copied. */
  readonly setBack: readonly string[];
  /**
   * Quota counters that are higher in Redis than in ClickHouse; null when they were not compared, because the pipeline was late.
   */
  readonly counters: readonly CounterDifference[] | null;
  /** Days on which the sums of the stored events, minutes, hours and days differ. */
  readonly disagreements: readonly LevelSums[];
  /** Number of records in Kafka that correctly have no row of their own, by reason. */
  readonly explained: {
    readonly deadLetters: number;
    readonly repeats: number;
    readonly corrections: number;
  };
  /** Number of stored events of the audited days. */
  readonly events: number;
  readonly since: string;
  /** Events after this time were not audited, because they may still be in the pipeline. */
  readonly until: string;
  /** True when more records are missing than the audit reads; the counts of losses are then lower bounds. */
  readonly cut: boolean;
}

export interface AuditSources {
  readonly kafka: Kafka;
  readonly topics: Topics;
  /** Consumer group of the aggregators. */
  readonly groupId: string;
  readonly clickhouse: ClickHouse;
  readonly limiter: Pick<Limiter, 'raiseQuota'>;
  readonly policy: () => Policy;
  readonly records: () => Iterable<TenantRecord>;
  readonly clock: Clock;
  /**
   * Events stored within this time before the audit are not audited, because an event with a lower sequence number may still wait
   * for the leader of another partition.
   */
  readonly settleMs?: number;
  /** Longest wait until ClickHouse has all events from before the time at which the counters were read. */
  readonly patienceMs?: number;
}

const settleMsDefault = 60_000;
/** A record of the audited window may contain an event that is older than the window by at most this time. */
const lateMs = 86_400_000;
const listedMax = 1_000;

/**
 * Finds events and units that were lost between the decision and the totals within the last `hours`, in five steps:
 *
 * 1. Reads the counters of Redis, to compare them at the end.
 * 2. Offsets: each record in Kafka that the aggregator committed has a row in ClickHouse, or a reason to have none.
 * 3. Sequence numbers: each number that a gateway's spool assigned is stored, or is in a record of step 2.
 * 4. Levels: the totals of each day equal the sums of its events.
 * 5. Counters: the units that step 1 read are in ClickHouse.
 *
 * Only reads. Rejects when Kafka, ClickHouse or Redis does not respond.
 */
export async function auditLosses(sources: AuditSources, hours: number): Promise<LossReport> {
  const { kafka, topics, groupId, clickhouse, clock, settleMs = settleMsDefault } = sources;
  const startedMs = clock.now();
  const sinceMs = startedMs - hours * 3_600_000;
  const untilMs = startedMs - settleMs;
  const counters = await readCounters({
    ...sources,
    policy: sources.policy(),
    records: sources.records(),
    nowMs: startedMs,
  });
  const window = await readConsumedWindow(kafka, { topic: topics.usage, groupId, sinceMs });
  const recreations = await findRecreations(clickhouse, window, Math.max(0, sinceMs - lateMs));
  const offsets = await auditOffsets(sources, window, recreations, sinceMs);
  const { missing, setBack } = await auditSequences(clickhouse, {
    window,
    recreations,
    sinceMs,
    settledMs: untilMs,
    accounted: offsets.spoolNumbers,
  });
  const { events, disagreements } = await compareLevels(clickhouse, { sinceMs, untilMs });
  const lostRecords = lostOf(offsets);
  return {
    lost: lostRecords.length + missingCount(missing),
    lostRecords: lostRecords.slice(0, listedMax),
    missingSequences: missing,
    setBack,
    counters: await differences(sources, counters, startedMs),
    disagreements,
    explained: explainedOf(offsets),
    events,
    since: new Date(sinceMs).toISOString(),
    until: new Date(untilMs).toISOString(),
    cut: offsets.cut,
  };
}

const patienceMsDefault = 15_000;
const pollIntervalMs = 250;
/**
 * Assumed longest time from a decision until its event is in Kafka, including the time in the spool. Usually it is much shorter.
 */
const spoolMs = 1_000;

async function differences(
  { clickhouse, clock, patienceMs = patienceMsDefault }: AuditSources,
  counters: readonly CounterReading[],
  readAtMs: number,
): Promise<readonly CounterDifference[] | null> {
  for (const deadline = clock.now() + patienceMs; ;) {
    const through = await completeThrough(clickhouse);
    if (through !== null && Date.parse(through) >= readAtMs + spoolMs) break;
    if (clock.now() >= deadline) return null;
    await wait(pollIntervalMs);
  }
  return (await compareCounters(clickhouse, counters)).slice(0, listedMax);
}

function lostOf({ records }: OffsetFindings): LostRecord[] {
  return [...records].flatMap(([{ partition, offset, event }, explanation]) =>
    explanation === 'lost'
      ? [{ partition, offset, tenant_id: event?.tenantId ?? null, event_id: event?.id ?? null }]
      : [],
  );
}

function explainedOf({ records }: OffsetFindings): LossReport['explained'] {
  const count = (wanted: string): number =>
    [...records.values()].filter((explanation) => explanation === wanted).length;
  return { deadLetters: count('dead letter'), repeats: count('repeat'), corrections: count('correction') };
}

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

/** An event that Kafka has, the aggregator committed, and ClickHouse lacks. */
export interface LostRecord {
  readonly partition: number;
  readonly offset: number;
  readonly tenant_id: string | null;
  readonly event_id: string | null;
}

export interface LossReport {
  /** Events that were taken and are in no table: `lostRecords`, and all numbers of `missingSequences`. */
  readonly lost: number;
  readonly lostRecords: readonly LostRecord[];
  /** Numbers that reached neither Kafka nor ClickHouse, by run of a gateway's spool. */
  readonly missingSequences: Readonly<Record<string, readonly MissingRange[]>>;
  /** Runs of a spool that gave numbers which an earlier run had given: the folder was set back or copied. */
  readonly setBack: readonly string[];
  /** Quota counters that Redis has above ClickHouse; null: Redis was not compared, because the pipeline lags. */
  readonly counters: readonly CounterDifference[] | null;
  /** Days on which the levels of totals do not add up to the same. */
  readonly disagreements: readonly LevelSums[];
  /** Records that rightly have no row of their own. */
  readonly explained: {
    readonly deadLetters: number;
    readonly repeats: number;
    readonly corrections: number;
  };
  /** Events stored on the days looked at. */
  readonly events: number;
  readonly since: string;
  /** Younger events may still be on their way and were not looked at. */
  readonly until: string;
  /** More was missing than is looked at: there is at least as much lost as is said. */
  readonly cut: boolean;
}

export interface AuditSources {
  readonly kafka: Kafka;
  readonly topics: Topics;
  /** The aggregators' consumer group. */
  readonly groupId: string;
  readonly clickhouse: ClickHouse;
  readonly limiter: Pick<Limiter, 'raiseQuota'>;
  readonly policy: () => Policy;
  readonly records: () => Iterable<TenantRecord>;
  readonly clock: Clock;
  /** Events stored in so short a time may have neighbours that wait for another partition's leader. */
  readonly settleMs?: number;
  /** How long Redis's counts wait for the pipeline to come to where they were read. */
  readonly patienceMs?: number;
}

const settleMsDefault = 60_000;
/** Events of the window may be older than it by so much. */
const lateMs = 86_400_000;
const listedMax = 1_000;

/**
 * Looks for losses between the decision and the totals, over the last `hours`:
 *
 * 1. Redis's counts are read, to be compared at the end.
 * 2. Offsets: each record that was committed has a row, or a reason for having none.
 * 3. Sequences: each number that a spool gave is stored, or stands in a record of step 2.
 * 4. Levels: the totals of a day agree with the events.
 * 5. Counters: what Redis counted has arrived by now.
 *
 * Nothing is written. Rejects when Kafka, ClickHouse or Redis does not answer: a store that could not be asked is
 * never a clean answer.
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
    accounted: offsets.stamps,
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
const lookIntervalMs = 250;
/** An event is in the spool, and from there in Kafka, well within this: Kafka is complete for what was decided before. */
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
    await wait(lookIntervalMs);
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

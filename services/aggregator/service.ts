import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import type { TimeBounds } from '../../shared/domain/events/bounds.ts';
import { calendarOf } from '../../shared/domain/quota.ts';
import { runConsumer } from '../../shared/kafka/consumer/consumer.ts';
import { letterOf } from '../../shared/kafka/consumer/handling.ts';
import { createDeadLetterWriter } from '../../shared/kafka/dead-letters/writer.ts';
import type { DeadLetterWriter } from '../../shared/kafka/dead-letters/writer.ts';
import type { Kafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { createLogEnds } from '../../shared/kafka/offsets/topic-offsets.ts';
import { createProducer } from '../../shared/kafka/producer/producer.ts';
import { createTenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import type { Topics } from '../../shared/kafka/topics.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Lifecycle } from '../../shared/runtime/lifecycle.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import type { Tracing } from '../../shared/runtime/tracing/tracing.ts';
import { storeAuditEntries } from './audit-entries.ts';
import { createAggregator } from './aggregator.ts';
import { createAnnouncer } from './announce.ts';
import { createWaitingCorrections } from './corrections/waiting-corrections.ts';
import { createEventStore } from './events/event-store.ts';
import { aggregatorMetrics } from './metrics.ts';
import { createProgress } from './progress/progress.ts';
import { reportProgress } from './progress/report-progress.ts';
import { storeTenantRecords } from './tenant-records.ts';

export interface ServiceOptions {
  readonly kafka: Kafka;
  readonly clickhouse: ClickHouse;
  readonly topics: Topics;
  readonly groupId: string;
  readonly bounds: TimeBounds;
  readonly blockRowsMax: number;
  readonly lingerMs: number;
  /** Longest time for which a correction waits for its event. Default: ten seconds. */
  readonly correctionWaitMs?: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: Registry;
  readonly lifecycle: Lifecycle;
  /** Absent: no traces. */
  readonly tracing?: Tracing | null;
  /** Called when the process must exit, so that its supervisor starts it again. */
  readonly fail: (error: unknown) => void;
}

/** Largest size of a block. The consumer buffers about two blocks, so this limits the memory while it reads a backlog. */
const blockBytesMax = 32 * 1024 * 1024;

/**
 * Gateways send an event within a second if Kafka is available. A correction that arrives longer than this before its
 * event becomes a dead letter.
 */
const correctionWaitMsDefault = 10_000;

/**
 * Shortest time between two announcements. Each one costs a statement, a send and the readers' work for every tenant
 * with new events.
 */
const announceIntervalMs = 250;

/**
 * Each derivation reads all events of the minutes that its blocks touch. While a backlog is read, consecutive blocks
 * touch the same minutes, so deriving four of them together costs little more than deriving one.
 */
const deriveBlocks = 4;

/**
 * The shortest session timeout that brokers allow by default. When the process is killed, its partitions wait this long
 * for another aggregator.
 */
const sessionTimeoutMs = 6_000;

/**
 * Connects and starts the parts of the aggregator. Returns a function that returns the names of the dependencies that
 * are not ready.
 */
export function runAggregator(options: ServiceOptions): () => readonly string[] {
  const { kafka, clickhouse, topics, groupId, clock, logger, registry, lifecycle, fail } = options;
  const metrics = aggregatorMetrics(registry);
  const producer = createProducer(kafka, { registry });
  lifecycle.onClose('producer', () => producer.close());
  const deadLetters = createDeadLetterWriter({ producer, topics, clock, registry, logger });
  const tenants = createTenantDirectory({ kafka, topics, registry });
  lifecycle.onClose('tenants', () => tenants.close());
  const logEnds = createLogEnds(kafka, topics.usage, groupId);
  lifecycle.onClose('log ends', () => {
    logEnds.close();
    return Promise.resolve();
  });
  const progress = createProgress(() => logEnds.read(), clock);
  const report = reportProgress({
    progress,
    clickhouse,
    topic: topics.usage,
    clock,
    logger,
    onBehind: (seconds) => metrics.behind(seconds),
  });
  lifecycle.onClose('progress', () => report.close());

  const announcer = createAnnouncer({
    clickhouse,
    producer,
    deadLetters,
    topic: topics.totals,
    clock,
    calendarOf: (tenantId) => calendarOf(tenants.get(tenantId) ?? null),
    completeThroughMs: (partition) => progress.of(partition).completeThroughMs,
  });
  const waiting = createWaitingCorrections({
    waitMs: options.correctionWaitMs ?? correctionWaitMsDefault,
    now: () => performance.now(),
  });
  const aggregator = createAggregator({
    waiting,
    store: createEventStore(clickhouse, clock),
    announcer,
    progress,
    writeDeadLetters: (rejected) =>
      deadLetters.write(rejected.map(({ message, reason }) => letterOf(message, reason, 'aggregator'))),
    clock,
    bounds: options.bounds,
    metrics,
    tracing: options.tracing ?? null,
    announceIntervalMs,
    deriveBlocks,
  });
  const consumer = runConsumer(kafka, {
    topic: topics.usage,
    groupId,
    groupLabel: 'aggregator',
    onBatch: aggregator,
    onAssignment: () => waiting.clear(),
    deadLetters,
    registry,
    sessionTimeoutMs,
    batchRecordsMax: options.blockRowsMax,
    batchBytesMax: blockBytesMax,
    lingerMs: options.lingerMs,
    onStalled: fail,
  });
  lifecycle.onClose('consumer', () => consumer.close());
  copyTables(options, deadLetters);

  return () => [
    ...(consumer.joined() ? [] : ['kafka']),
    ...(tenants.ready() ? [] : ['tenant records']),
    ...(report.healthy() && metrics.lastBlockWorked() ? [] : ['clickhouse']),
  ];
}

/** Copies the tenant records and the audit trail into ClickHouse. */
function copyTables(options: ServiceOptions, deadLetters: DeadLetterWriter): void {
  const { kafka, clickhouse, topics, groupId, registry, lifecycle, fail: onStalled } = options;
  const copies = [
    { topic: topics.tenants, name: 'tenants', store: storeTenantRecords },
    { topic: topics.audit, name: 'audit', store: storeAuditEntries },
  ] as const;
  for (const { topic, name, store } of copies) {
    const consumer = runConsumer(kafka, {
      ...{ topic, groupId: `${groupId}-${name}`, groupLabel: `aggregator-${name}` },
      onBatch: ({ messages }) => store(clickhouse, messages),
      ...{ deadLetters, registry, onStalled },
    });
    lifecycle.onClose(`copy of ${name}`, () => consumer.close());
  }
}

import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { TollgateError } from '../../../shared/runtime/errors.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import { createDisk } from './disk.ts';
import type { FoundFolder } from './disk.ts';
import { spoolMetrics } from './metrics.ts';
import type { DropReason, SpoolMetrics } from './metrics.ts';
import { createBatchSource } from './batch-source.ts';
import type { BatchSource, OutgoingRecord } from './batch-source.ts';
import { PendingEvents } from './pending-events.ts';
import { Retention } from './retention.ts';
import { createSpoolReader } from './segments/reader.ts';
import type { SpoolReader } from './segments/reader.ts';
import { createEventEncoder } from './folder/run-id.ts';
import type { EventEncoder, EventText } from './folder/run-id.ts';
import { createStore } from './store.ts';

/**
 * The events of this node after the decision and before Kafka has them: in append-only files, or in memory while the
 * disk fails. The option `durability` determines when `flushed()` resolves:
 *
 * - `process`: when the kernel has the events, so that they survive a SIGKILL of this process.
 * - `power`: when the disk has the events, so that they also survive a power cut.
 *
 * While `diskFailure()` is not null, `flushed()` resolves at once and events are sent to Kafka from memory: a crash
 * then loses the events that Kafka does not have yet. The spool uses its disk again as soon as the disk works.
 *
 * A request never fails and never waits because Kafka is unavailable or the spool is full. If the files exceed
 * `bytesMax`, the oldest segment is dropped; if the events in memory exceed `memoryBytesMax`, the oldest of them are
 * dropped. Every lost event is counted in `tollgate_spool_dropped_total` and logged with its sequence number, and the
 * sequence numbers of the node have a gap.
 */
export interface Spool {
  /**
   * Calls `eventAt` with the next sequence number, appends the event that it returns, and returns the sequence number. All
   * appends of one event-loop iteration share one write and become durable together. Throws only what `eventAt` and `textOf`
   * throw, and SPOOL_CLOSED. `textOf` writes the event in place of `JSON.stringify`.
   */
  append<Event extends UsageCloudEvent>(
    eventAt: (sequence: number) => Event,
    textOf?: EventText<Event>,
  ): number;
  /** Resolves when all events appended so far are durable. Never rejects. */
  flushed(): Promise<void>;
  /**
   * For the publisher: returns the next records in order, or none. Does not wait for the acknowledgement of earlier
   * records. Records that Kafka may have already have a header.
   */
  readBatch(recordsMax: number, bytesMax: number): Promise<readonly OutgoingRecord[]>;
  /**
   * For the publisher: reports that Kafka has every record up to this sequence number. A restart keeps this position,
   * and segments that are no longer needed are removed.
   */
  acknowledge(sequence: number): void;
  /** Size on disk divided by `bytesMax`. If it exceeds 1, the oldest events are dropped. */
  usedShare(): number;
  /** The highest sequence number that Kafka has acknowledged. */
  acknowledged(): number;
  readonly bytesMax: number;
  /** Why the disk does not store events at present; null if it does. */
  diskFailure(): string | null;
  /** For the publisher: sets the function that is called when a batch may be available. */
  onAvailable(listener: () => void): void;
  /**
   * Writes the pending events, but waits only for a limited time. Events that neither the disk nor Kafka has afterwards
   * are counted as lost.
   */
  close(): Promise<void>;
}

export interface SpoolOptions {
  readonly directory: string;
  readonly durability?: 'process' | 'power';
  readonly bytesMax?: number;
  readonly segmentBytes?: number;
  /** Maximum size in bytes of the events in memory while the disk fails. */
  readonly memoryBytesMax?: number;
  /** Time after which the spool opens without waiting longer for its folder. */
  readonly openTimeoutMs?: number;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
  /**
   * Called when another process took over the folder while this process was suspended. This process then has to exit.
   */
  readonly onLost?: (error: TollgateError) => void;
}

const mebibyte = 1024 * 1024;
/**
 * Milliseconds after which responses no longer wait for a write. The limit is higher with `power`, because under load a
 * sync takes longer than a write.
 */
const stallMs = { process: 250, power: 1_000 };
/**
 * If the folder cannot be read, the first sequence number is the Unix time in milliseconds multiplied by this factor.
 * This is more than every sequence number that the folder may contain.
 */
const sequencesPerMs = 16;

/**
 * Opens and locks the folder. Throws SPOOL_LOCKED if a running process has the lock. The incomplete record of a crashed
 * process is cut off, all other records are kept, and the sequence continues. If the disk fails, the spool works in memory
 * until the folder can be opened.
 */
export async function openSpool(options: SpoolOptions): Promise<Spool> {
  const { directory, clock, registry, logger, durability = 'process' } = options;
  const { bytesMax = 1024 * mebibyte, memoryBytesMax = 64 * mebibyte, openTimeoutMs = 2_000 } = options;
  const { segmentBytes = Math.min(16 * mebibyte, Math.ceil(bytesMax / 8)) } = options;
  let [next, appended] = [0, 0];
  let encode = closedEncoder;
  let found = null as FoundFolder | null;
  let reader: SpoolReader | null = null;
  let listener: () => void = () => undefined;

  const metrics: SpoolMetrics = spoolMetrics(registry, {
    appended: () => appended,
    bytes: () => found?.segments.bytesTotal ?? 0,
    memoryBytes: () => pending.bytes,
    isMemoryOnly: () => store.state() !== 'healthy',
    oldestAgeSeconds,
  });
  const disk = createDisk(directory, () => clock.now(), onFound);
  const pending = new PendingEvents(memoryBytesMax, ({ first, last }) => drop('unwritable', first, last));
  const retention = new Retention(disk, () => found?.segments ?? null);
  const store = createStore({
    disk,
    retention,
    pending,
    next: () => next,
    ...{ segmentBytes, bytesMax, openTimeoutMs, clock, metrics, logger },
    sync: durability === 'power',
    stallMs: stallMs[durability],
    onAvailable: () => listener(),
    onFailed: () => void batchSource.release(),
    onDropped: (first, last) => drop('full', first, last),
    onLocked: (error) => options.onLost?.(error),
  });
  const batchSource: BatchSource = createBatchSource({ reader: () => reader, pending, store });
  await store.open();
  if (found === null) beginWithoutFolder();

  return {
    append,
    flushed: () => store.flushed(),
    readBatch: (recordsMax, bytesMaxOfBatch) => batchSource.readBatch(recordsMax, bytesMaxOfBatch),
    acknowledge: (sequence) => batchSource.acknowledge(sequence),
    usedShare: () => (found?.segments.bytesTotal ?? 0) / bytesMax,
    acknowledged: () => batchSource.acknowledged(),
    bytesMax,
    diskFailure: () => store.cause(),
    onAvailable: (call) => void (listener = call),
    close,
  };

  function append<Event extends UsageCloudEvent>(
    eventAt: (sequence: number) => Event,
    textOf?: EventText<Event>,
  ): number {
    const sequence = next;
    const event = eventAt(sequence);
    const text = encode(event, sequence, textOf);
    next += 1;
    appended += 1;
    store.append(sequence, event.subject, text);
    return sequence;
  }

  /** Called when the folder was read: its sequence continues, above the numbers that were assigned before. */
  function onFound(folder: FoundFolder): void {
    found = folder;
    const { segments, unacknowledged, start } = folder;
    batchSource.begin(unacknowledged, segments.lastSequence);
    reader = createSpoolReader({
      directory,
      segments,
      from: unacknowledged,
      onDamaged,
      onLost: (first, last) => drop('unreadable', first, last),
      onMissing: () => store.checkFolder(),
    });
    next = Math.max(next, start.first);
    encode = createEventEncoder(folder.name, folder.openedAtMs, {
      first: next,
      follows: Math.min(next, start.follows),
    });
    if (folder.damagedBytes > 0) onDamaged(folder.damagedBytes);
    logger.info(
      {
        directory,
        sequence: next,
        unacknowledged_bytes: segments.bytesTotal,
        torn_bytes: folder.tornBytes,
      },
      'spool opened',
    );
  }

  function beginWithoutFolder(): void {
    next = clock.now() * sequencesPerMs;
    encode = createEventEncoder(disk.name(), clock.now(), { first: next, follows: next });
  }

  function onDamaged(bytes: number): void {
    metrics.damagedBytes.inc(bytes);
    logger.error({ directory, bytes }, 'corrupt bytes of the spool were moved to damaged/');
  }

  function drop(reason: DropReason, first: number, last: number): void {
    const events = last - first + 1;
    if (events <= 0) return;
    metrics.dropped.inc({ reason }, events);
    logger.error({ reason, events, first_sequence: first, last_sequence: last }, 'events were lost');
  }

  /** Returns the approximate age of the oldest event that Kafka does not have; 0 if Kafka has all events. */
  function oldestAgeSeconds(): number {
    const unreadAtMs = (reader?.unreadBytes() ?? 0) > 0 ? store.writtenAtMs() : null;
    const pendingAtMs = store.state() === 'healthy' ? null : pending.oldestAtMs();
    const oldestMs = batchSource.oldestAtMs() ?? unreadAtMs ?? pendingAtMs;
    return oldestMs === null ? 0 : Math.max(0, clock.now() - oldestMs) / 1000;
  }

  async function close(): Promise<void> {
    encode = closedEncoder;
    await store.close();
    for (const { first, last } of pending.remaining()) drop('stopped', first, last);
    await batchSource.release();
  }
}

/** Encoder that is used before the spool is open and after it is closed: it always throws. */
const closedEncoder: EventEncoder = () => {
  throw new TollgateError('SPOOL_CLOSED', 'The spool is closed');
};

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
import type { BatchSource } from './batch-source.ts';
import { PendingEvents } from './pending-events.ts';
import { createSpoolReader } from './segments/reader.ts';
import type { SpoolReader } from './segments/reader.ts';
import type { SpoolRecord } from './segments/record.ts';
import { createEventEncoder } from './folder/run-id.ts';
import type { EventEncoder } from './folder/run-id.ts';
import { createStore } from './store.ts';

/**
 * Events of this node between the decision and Kafka, in append-only files; in memory while the disk fails.
 *
 * What a caller relies on, per `durability`:
 * - `process`: once `flushed()` resolved, the event survives SIGKILL of this process (the kernel has it).
 * - `power`: once `flushed()` resolved, it survives a power cut as well (the disk has it).
 *
 * While `diskFailure()` is not null the disk takes no events: `flushed()` resolves at once, and an event survives a crash
 * only once Kafka has it, to which it is sent from memory. All by itself the spool returns to its disk.
 *
 * Nothing here makes a request wait for Kafka, fail, or wait for room. When `bytesMax` is reached the oldest segment
 * is dropped, and in memory the oldest events beyond `memoryBytesMax`. What is lost is counted in
 * `tollgate_spool_dropped_total` and logged with its numbers, and the node's sequence numbers show the gap.
 */
export interface Spool {
  /**
   * Gives the next sequence number to `eventAt`, and takes the event it returns. Durable once `flushed()` resolves,
   * which all appends of one turn of the event loop share: one write for the whole turn, made before any of their
   * responses leaves. Returns the sequence number. Throws only what `eventAt` throws, and when the spool is closed.
   */
  append(eventAt: (sequence: number) => UsageCloudEvent): number;
  /** Resolves, and never rejects, when all that was appended so far is durable; at once when nothing waits. */
  flushed(): Promise<void>;
  /** For the sender: the next records in order, empty when none are left. Reads on even without acknowledgements. */
  readBatch(recordsMax: number, bytesMax: number): Promise<readonly SpoolRecord[]>;
  /** For the sender: Kafka has every record up to and with this sequence. Survives a restart; frees their segments. */
  acknowledge(sequence: number): void;
  /** Bytes on disk divided by what the spool may hold; above 1 the oldest events go. */
  usedShare(): number;
  /** The last sequence that Kafka has. */
  acknowledged(): number;
  readonly bytesMax: number;
  /** Why the disk takes no events now; null when it does. */
  diskFailure(): string | null;
  /** For the sender: called when there may be something to take. */
  onAvailable(listener: () => void): void;
  /** What neither the disk nor Kafka takes within a bound is counted as lost. */
  close(): Promise<void>;
}

export interface SpoolOptions {
  readonly directory: string;
  readonly durability?: 'process' | 'power';
  readonly bytesMax?: number;
  readonly segmentBytes?: number;
  /** Events that are kept in memory while the disk takes none and Kafka is away. */
  readonly memoryBytesMax?: number;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
  /** The folder was taken over by another process while this one stood still. The process has to end. */
  readonly onLost?: (error: TollgateError) => void;
}

const mebibyte = 1024 * 1024;
/** A write that takes longer holds up no response any more; a sync of a disk under load may take longer than a write. */
const stallMs = { process: 250, power: 1_000 };
/** SequenceMarkFile of a spool whose folder could not be read begin here times the Unix milliseconds, above all it can hold. */
const numbersPerMs = 16;

/**
 * Opens the folder and makes it this process's own; throws SPOOL_LOCKED when a living process has it. A record that
 * was being written when the process died is cut off, all others are there again, and the sequence goes on. Where the
 * disk fails, the spool works from memory until the folder can be opened.
 */
export async function openSpool(options: SpoolOptions): Promise<Spool> {
  const { directory, clock, registry, logger, durability = 'process' } = options;
  const { bytesMax = 1024 * mebibyte, memoryBytesMax = 64 * mebibyte } = options;
  const { segmentBytes = Math.min(16 * mebibyte, Math.ceil(bytesMax / 8)) } = options;
  let next = 0;
  let encode = closedEncoder;
  let found = null as FoundFolder | null;
  let reader: SpoolReader | null = null;
  let listener: () => void = () => undefined;

  const metrics: SpoolMetrics = spoolMetrics(registry, {
    bytes: () => found?.segments.bytesTotal ?? 0,
    memoryBytes: () => pending.bytes,
    isMemoryOnly: () => store.state() !== 'healthy',
    oldestAgeSeconds,
  });
  const disk = createDisk(directory, () => clock.now(), onFound);
  const pending = new PendingEvents(memoryBytesMax, ({ first, last }) => drop('unwritable', first, last));
  const store = createStore({
    disk,
    segments: () => found?.segments ?? null,
    pending,
    next: () => next,
    segmentBytes,
    bytesMax,
    sync: durability === 'power',
    stallMs: stallMs[durability],
    clock,
    metrics,
    logger,
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

  function append(eventAt: (sequence: number) => UsageCloudEvent): number {
    const sequence = next;
    const event = eventAt(sequence);
    const text = encode(event, sequence);
    next += 1;
    metrics.appended.inc();
    store.append(sequence, event.subject, text);
    return sequence;
  }

  /** The folder could be read: its numbers go on, above those that were given without it. */
  function onFound(folder: FoundFolder): void {
    found = folder;
    const { segments, unacknowledged, start } = folder;
    batchSource.begin(unacknowledged);
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
    next = clock.now() * numbersPerMs;
    encode = createEventEncoder(disk.name(), clock.now(), { first: next, follows: next });
  }

  function onDamaged(bytes: number): void {
    metrics.damagedBytes.inc(bytes);
    logger.error({ directory, bytes }, 'damaged bytes of the spool were moved away');
  }

  function drop(reason: DropReason, first: number, last: number): void {
    const events = last - first + 1;
    if (events <= 0) return;
    metrics.dropped.inc({ reason }, events);
    logger.error({ reason, events, first_sequence: first, last_sequence: last }, 'events were lost');
  }

  /** Age of the oldest event that Kafka does not have, as far as it was read: 0 when Kafka has all. */
  function oldestAgeSeconds(): number {
    const unreadAtMs = (reader?.unreadBytes() ?? 0) > 0 ? store.writtenAtMs() : null;
    const pendingAtMs = store.state() === 'healthy' ? null : pending.oldestAtMs();
    const oldestMs = batchSource.oldestAtMs() ?? unreadAtMs ?? pendingAtMs;
    return oldestMs === null ? 0 : Math.max(0, clock.now() - oldestMs) / 1000;
  }

  async function close(): Promise<void> {
    encode = closedEncoder;
    await store.close();
    for (const { first, last } of pending.left()) drop('stopped', first, last);
    await batchSource.release();
  }
}

/** Before the spool is open, and after its end. */
const closedEncoder: EventEncoder = () => {
  throw new TollgateError('SPOOL_CLOSED', 'The spool is closed');
};

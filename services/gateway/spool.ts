import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { UsageCloudEvent } from '../../shared/domain/usage-event.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { TollgateError } from '../../shared/runtime/errors.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Registry } from '../../shared/runtime/ops.ts';
import { openCursor } from './spool/cursor.ts';
import { lockSpool } from './spool/lock.ts';
import { spoolMetrics } from './spool/metrics.ts';
import { createSpoolReader } from './spool/reader.ts';
import type { SpoolRecord } from './spool/record.ts';
import { openSegments } from './spool/segments.ts';
import { openStamp } from './spool/stamp.ts';
import { createTurnWriter } from './spool/turn-writer.ts';

/**
 * Events of this node between the decision and Kafka, in append-only files.
 *
 * What a caller relies on, per `durability`:
 * - `process`: once `flushed()` resolved, the event survives SIGKILL of this process (the kernel has it).
 * - `power`: once `flushed()` resolved, it survives a power cut as well (the disk has it).
 *
 * Nothing here makes a request wait for Kafka, fail, or wait for room. When `bytesMax` is reached the oldest segment
 * is dropped, and its events are counted in `tollgate_spool_dropped_total`; the node's sequence numbers show the gap.
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
  /** Writes what waits now. For the last event of a process; with `power` it is not synced. */
  flush(): void;

  /** For the sender: the next records in order, empty when none are left. Reads on even without acknowledgements. */
  take(recordsMax: number, bytesMax: number): Promise<readonly SpoolRecord[]>;
  /** For the sender: Kafka has every record up to and with this sequence. Survives a restart; frees their segments. */
  acknowledge(sequence: number): void;
  /** Bytes on disk divided by what the spool may hold; above 1 the oldest events go. */
  usedShare(): number;
  /** The last sequence that Kafka has. */
  acknowledged(): number;
  readonly bytesMax: number;
  /** For the sender: called after each write, when there is something to take. */
  onWritten(listener: () => void): void;
  close(): Promise<void>;
}

export interface SpoolOptions {
  readonly directory: string;
  readonly durability?: 'process' | 'power';
  readonly bytesMax?: number;
  readonly segmentBytes?: number;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
  /** The folder was taken over by another process while this one stood still. The process has to end. */
  readonly onLost?: (error: TollgateError) => void;
}

const mebibyte = 1024 * 1024;

/**
 * Opens the folder and makes it this process's own; throws SPOOL_LOCKED when a living process has it. A record that
 * was being written when the process died is cut off, all others are there again, and the sequence goes on.
 */
export async function openSpool(options: SpoolOptions): Promise<Spool> {
  const { directory, clock, registry, logger, durability = 'process' } = options;
  const { bytesMax = 1024 * mebibyte } = options;
  const { segmentBytes = Math.min(16 * mebibyte, Math.ceil(bytesMax / 8)) } = options;
  mkdirSync(directory, { recursive: true });
  const lock = await lockSpool(directory, (error) => {
    logger.error({ err: error }, error.message);
    options.onLost?.(error);
  });
  const cursor = openCursor(join(directory, 'cursor'));
  const { segments, tornBytes, damagedBytes } = openSegments(directory, cursor.start ?? 1);
  const stamp = openStamp(directory, clock.now(), segments.next);
  const metrics = spoolMetrics(registry, { bytes: () => segments.bytesTotal(), oldestAgeSeconds });
  const reader = createSpoolReader({ directory, segments, from: cursor.start ?? 1, onDamaged });
  const taken: SpoolRecord[][] = [];
  let listener: () => void = () => undefined;
  let closed = false;
  let acknowledgedSequence = (cursor.start ?? 1) - 1;
  const writer = createTurnWriter({
    segments,
    segmentBytes,
    bytesMax,
    sync: durability === 'power',
    clock,
    metrics,
    logger,
    onWritten: () => listener(),
  });
  if (damagedBytes > 0) onDamaged(damagedBytes);
  logger.info(
    {
      directory,
      sequence: segments.next,
      unacknowledged_bytes: segments.bytesTotal(),
      torn_bytes: tornBytes,
    },
    'spool opened',
  );

  return {
    append,
    flushed: () => writer.flushed(),
    flush: () => writer.flush(),
    take,
    acknowledge,
    usedShare: () => segments.bytesTotal() / bytesMax,
    acknowledged: () => acknowledgedSequence,
    bytesMax,
    onWritten,
    close,
  };

  function append(eventAt: (sequence: number) => UsageCloudEvent): number {
    if (closed) throw new TollgateError('SPOOL_CLOSED', 'The spool is closed');
    const sequence = writer.next();
    const event = eventAt(sequence);
    writer.append(event.subject, stamp(event, sequence));
    return sequence;
  }

  async function take(recordsMax: number, bytesMaxOfBatch: number): Promise<readonly SpoolRecord[]> {
    const records = await reader.read(recordsMax, bytesMaxOfBatch);
    if (records.length > 0) taken.push([...records]);
    return records;
  }

  function acknowledge(sequence: number): void {
    while ((taken[0]?.at(-1)?.sequence ?? Infinity) <= sequence) taken.shift();
    cursor.write(sequence + 1);
    acknowledgedSequence = sequence;
    while ((segments.list[1]?.first ?? Infinity) <= sequence + 1) segments.dropOldest();
  }

  function onWritten(call: () => void): void {
    listener = call;
  }

  function onDamaged(bytes: number): void {
    metrics.damagedBytes.inc(bytes);
    logger.error({ directory, bytes }, 'damaged bytes in the spool were put aside');
  }

  /** Age of the oldest event that Kafka does not have, as far as it was read: 0 when Kafka has all. */
  function oldestAgeSeconds(): number {
    const oldestMs =
      taken[0]?.[0]?.appendedAtMs ?? (reader.unreadBytes() > 0 ? writer.oldestUnreadAtMs() : null);
    return oldestMs === null ? 0 : Math.max(0, clock.now() - oldestMs) / 1000;
  }

  async function close(): Promise<void> {
    if (closed) return;
    closed = true;
    writer.close();
    await reader.close();
    segments.close();
    cursor.close();
    lock.release();
  }
}

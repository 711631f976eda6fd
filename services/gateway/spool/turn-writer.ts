import type { Clock } from '../../../shared/runtime/clock.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { SpoolMetrics } from './metrics.ts';
import { recordBytesMax, writeRecord } from './record.ts';
import type { Segments } from './segments.ts';

export interface TurnWriter {
  /** Sequence that the next append will get. */
  next(): number;
  append(key: string, value: string): void;
  flushed(): Promise<void>;
  flush(): void;
  /** Unix milliseconds of the last write: the best guess for what was written and not read yet. */
  oldestUnreadAtMs(): number | null;
  close(): void;
}

export interface TurnWriterOptions {
  readonly segments: Segments;
  readonly segmentBytes: number;
  readonly bytesMax: number;
  /** Whether a turn is done only when the disk has it. */
  readonly sync: boolean;
  readonly clock: Clock;
  readonly metrics: SpoolMetrics;
  readonly logger: Logger;
  readonly onWritten: () => void;
}

interface Turn {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

const bufferBytes = 1024 * 1024;
/** What is kept in memory while the disk takes nothing. Above it the events that waited longest are lost and counted. */
const pendingBytesMax = 64 * 1024 * 1024;
const retryIntervalMs = 200;

/**
 * Gathers what one turn of the event loop appends and hands it to the kernel in one write, in the check phase that
 * ends the turn: every response of the turn waits for that one write and for nothing else.
 */
export function createTurnWriter(options: TurnWriterOptions): TurnWriter {
  const { segments, segmentBytes, bytesMax, clock, metrics, logger } = options;
  let buffer = Buffer.allocUnsafeSlow(bufferBytes);
  let used = 0;
  let pending = 0;
  let sequence = segments.next;
  let turn: Turn | null = null;
  let syncing: Promise<void> | null = null;
  let retry: NodeJS.Timeout | null = null;
  let writtenAtMs: number | null = null;

  return {
    next: () => sequence,
    append,
    flushed: () => turn?.promise ?? syncing ?? Promise.resolve(),
    flush: write,
    oldestUnreadAtMs: () => writtenAtMs,
    close() {
      endTurn();
      if (retry !== null) clearTimeout(retry);
    },
  };

  function append(key: string, value: string): void {
    makeRoom(recordBytesMax(key, value));
    used = writeRecord(buffer, used, sequence, clock.now(), key, value);
    sequence += 1;
    pending += 1;
    metrics.appended.inc();
    if (turn === null) {
      turn = newTurn();
      setImmediate(endTurn);
    }
  }

  function endTurn(): void {
    const ended = turn;
    turn = null;
    write();
    if (ended === null) return;
    if (options.sync) void syncThen(ended);
    else ended.resolve();
  }

  function write(): void {
    if (used === 0) return;
    const startedAt = performance.now();
    try {
      segments.write(buffer.subarray(0, used));
    } catch (error) {
      metrics.writeFailures.inc();
      logger.error({ err: error, pending }, `the spool could not be written: ${messageOf(error)}`);
      retry ??= setTimeout(() => {
        retry = null;
        write();
      }, retryIntervalMs).unref();
      return;
    }
    metrics.writeSeconds.observe((performance.now() - startedAt) / 1000);
    used = 0;
    pending = 0;
    writtenAtMs = clock.now();
    if (buffer.length > bufferBytes) buffer = Buffer.allocUnsafeSlow(bufferBytes);
    if ((segments.list.at(-1)?.bytes ?? 0) >= segmentBytes) segments.rotate(sequence, options.sync);
    while (segments.bytesTotal() > bytesMax && dropOldest());
    options.onWritten();
  }

  /** Syncs run one after the other; one that begins after several turns were written serves them all. */
  async function syncThen(ended: Turn): Promise<void> {
    const before = syncing;
    const mine = (async () => {
      await before;
      await segments.sync().catch((error: unknown) => {
        metrics.writeFailures.inc();
        logger.error({ err: error }, `the spool could not be synced: ${messageOf(error)}`);
      });
    })();
    syncing = mine;
    await mine;
    if (syncing === mine) syncing = null;
    ended.resolve();
  }

  /** The stated policy of a full spool: the oldest go, and are counted. */
  function dropOldest(): boolean {
    const dropped = segments.dropOldest();
    if (dropped === null) return false;
    const events = (segments.list[0]?.first ?? sequence) - dropped.first;
    metrics.dropped.inc({ reason: 'full' }, events);
    logger.error(
      { events, first_sequence: dropped.first },
      'the spool is full; its oldest events were dropped',
    );
    return true;
  }

  function makeRoom(bytes: number): void {
    if (used + bytes > pendingBytesMax) write();
    if (used + bytes <= Math.min(buffer.length, pendingBytesMax)) return;
    if (used + bytes > pendingBytesMax && used > 0) {
      metrics.dropped.inc({ reason: 'unwritable' }, pending);
      logger.error(
        { events: pending },
        'the disk takes no events and the memory for them is full; they were dropped',
      );
      used = 0;
      pending = 0;
    }
    const larger = Buffer.allocUnsafeSlow(Math.max(buffer.length, (used + bytes) * 2));
    buffer.copy(larger, 0, 0, used);
    buffer = larger;
  }
}

function newTurn(): Turn {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  return { promise: promise, resolve: () => resolve(undefined) };
}

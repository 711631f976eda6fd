import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { TollgateError, messageOf } from '../../../shared/runtime/errors.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import { Retention } from './retention.ts';
import { CallQueue } from './call-queue.ts';
import { writePiece } from './segments/active-segment.ts';
import type { Disk } from './disk.ts';
import type { SpoolMetrics } from './metrics.ts';
import type { PendingEvents, Piece } from './pending-events.ts';
import type { Segment, Segments } from './segments/segments.ts';
import { Iterations } from './iterations.ts';

/**
 * How the store stands to its disk:
 *
 * - `healthy`: a turn of the event loop is over for its responses when the disk has its events.
 * - `memory-only`: the disk refused or holds up a write. Responses leave at once; events stay in memory, from where the
 *   sender takes them too. All files are closed, and the folder is opened anew every `retryIntervalMs`.
 * - `recovering`: the folder is open again, and what stayed in memory is being written.
 */
export type StoreState = 'healthy' | 'memory-only' | 'recovering';

export interface Store {
  append(sequence: number, key: string, value: string): void;
  flushed(): Promise<void>;
  state(): StoreState;
  /** Why the store is not healthy; null when it is. */
  cause(): string | null;
  /** First try to open the folder: resolves when it is open, failed, or takes too long; rejects with SPOOL_LOCKED. */
  open(): Promise<void>;
  /** Kafka has all events on the disk below this sequence. */
  acknowledged(unacknowledged: number): void;
  /** When the disk took the last write, as Unix milliseconds. */
  writtenAtMs(): number | null;
  /** A file is missing: the next call to the disk checks the folder. */
  checkFolder(): void;
  /** Writes what is left if the disk takes it, within a bound, and closes all files. */
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly disk: Disk;
  /** Null until the folder was read. */
  readonly segments: () => Segments | null;
  readonly pending: PendingEvents;
  /** The sequence that the next append will get. */
  readonly next: () => number;
  readonly segmentBytes: number;
  readonly bytesMax: number;
  readonly sync: boolean;
  /** A write that takes longer is no longer waited for. */
  readonly stallMs: number;
  readonly clock: Clock;
  readonly metrics: SpoolMetrics;
  readonly logger: Logger;
  /** There is something for the sender to take. */
  readonly onAvailable: () => void;
  /** The disk failed: files that are open for reading are to be closed. */
  readonly onFailed: () => void;
  /** Events on the disk, from `first` to `last`, were dropped because the spool is full. */
  readonly onDropped: (first: number, last: number) => void;
  /** Another process has the folder. */
  readonly onLocked: (error: TollgateError) => void;
}

const lookIntervalMs = 100;
const retryIntervalMs = 200;
/** What a start waits for the disk before the gateway serves without it. */
const openTimeoutMs = 2_000;
const ownershipIntervalMs = 1_000;
const closeTimeoutMs = 2_000;
/** SequenceMarkFile that may be given in memory until the next mark, beside four times as many as since the last one. */
const numbersAhead = 1_000;

/**
 * Brings events to the disk, in the order of their numbers, with one call to the disk at a time: while a turn is being
 * written the next ones gather, and one write serves them all. What the disk does not take stays in memory. A call
 * that hangs holds up no response and no other call than those of the disk.
 */
export function createStore(options: StoreOptions): Store {
  const { disk, pending, next, clock, metrics, logger } = options;
  const iterations = new Iterations();
  const calls = new CallQueue();
  const retention = new Retention(disk, options.segments);
  let state: StoreState = 'memory-only';
  let cause: string | null = 'the folder is not open yet';
  let closing = false;
  let detachDue = false;
  let rotateDue = false;
  let retryAt = 0;
  let ownershipAt = 0;
  let storedThrough = 0;
  let markedThrough = 0;
  let writtenAtMs: number | null = null;
  const timer = setInterval(look, lookIntervalMs).unref();

  return {
    append,
    flushed: () => (state === 'healthy' ? iterations.newest : answered),
    state: () => state,
    cause: () => cause,
    open,
    acknowledged: (unacknowledged) => {
      retention.advance(unacknowledged);
      proceed();
    },
    writtenAtMs: () => writtenAtMs,
    checkFolder: () => void (ownershipAt = 0),
    close,
  };

  function append(sequence: number, key: string, value: string): void {
    pending.append(sequence, clock.now(), key, value);
    if (state !== 'healthy') metrics.unstored.inc();
    if (iterations.add(sequence)) setImmediate(endIteration);
  }

  function endIteration(): void {
    iterations.end();
    if (state === 'healthy') iterations.resolveThrough(storedThrough);
    else release();
    proceed();
  }

  /** Responses do not wait for the disk, and the sender takes the events from memory. */
  function release(): void {
    iterations.resolveThrough(Infinity);
    options.onAvailable();
  }

  /** Begins the next call to the disk, unless one is under way. */
  function proceed(): void {
    if (calls.isBusy || closing) return;
    const task = nextTask();
    if (task !== null) {
      calls.begin();
      task().then(() => finish(null), finish);
      return;
    }
    const active = disk.active();
    if (state === 'memory-only' || active === null) return;
    const piece = pending.nextPiece();
    if (piece === null) return;
    if (active.segment.bytes > 0 && piece.first !== active.segment.last + 1) {
      // A segment has every number from its first to its last: what misses in it is damage.
      pending.refused();
      rotateDue = true;
      proceed();
      return;
    }
    calls.begin();
    active.write(piece, options.sync, (error) => {
      if (error === null) written(piece, active.segment);
      else pending.refused();
      const tookMs = finish(error);
      if (error === null) metrics.writeSeconds.observe(tookMs / 1000);
    });
  }

  /** The call has ended; answers what it took. */
  function finish(error: unknown): number {
    const tookMs = calls.end();
    if (error !== null) fail(error);
    proceed();
    return tookMs;
  }

  function written(piece: Piece, segment: Segment): void {
    if (segment.bytes === 0) segment.begins = piece.first;
    segment.bytes += piece.to - piece.from;
    segment.last = storedThrough = piece.last;
    pending.stored(piece);
    writtenAtMs = clock.now();
    if (state === 'healthy') iterations.resolveThrough(storedThrough);
    if (segment.bytes >= options.segmentBytes) rotateDue = true;
    for (const { first, last } of retention.makeRoom(options.bytesMax)) options.onDropped(first, last);
    options.onAvailable();
  }

  /** What is to be done before the next write, if anything is. */
  function nextTask(): (() => Promise<void>) | null {
    if (detachDue) {
      detachDue = false;
      return () => disk.detach();
    }
    if (state === 'memory-only') return performance.now() >= retryAt ? reattach : null;
    if (rotateDue) {
      rotateDue = false;
      return begin;
    }
    if (retention.isDue) return () => retention.keep();
    if (state === 'recovering') return pending.first === null ? becomeHealthy : null;
    return performance.now() >= ownershipAt ? checkOwnership : null;
  }

  async function reattach(): Promise<void> {
    retryAt = performance.now() + retryIntervalMs;
    await disk.attach();
    // What Kafka has makes room for the rest.
    await retention.keep();
    const given = next() - 1;
    const through = given + numbersAhead + 4 * Math.max(0, given - markedThrough);
    await disk.writeMark({ state: 'memory', through, atMs: clock.now() }).catch(ignore);
    markedThrough = given;
    await disk.probe(options.sync);
    await begin();
    rotateDue = false;
    state = 'recovering';
  }

  async function becomeHealthy(): Promise<void> {
    await checkOwnership();
    logger.info({ after: cause }, 'the spool writes to its disk');
    state = 'healthy';
    cause = null;
    storedThrough = (pending.first ?? next()) - 1;
    options.onAvailable();
  }

  async function checkOwnership(): Promise<void> {
    ownershipAt = performance.now() + ownershipIntervalMs;
    await disk.checkOwnership();
    await disk.writeMark({ state: 'running', through: next() - 1, atMs: clock.now() });
  }

  function fail(error: unknown): void {
    detachDue = true;
    retryAt = performance.now() + retryIntervalMs;
    metrics.writeFailures.inc();
    if (error instanceof TollgateError && error.code === 'SPOOL_LOCKED') options.onLocked(error);
    keepInMemory(messageOf(error), error);
  }

  function keepInMemory(reason: string, error: unknown): void {
    if (cause !== reason)
      logger.error({ err: error }, `events stay in memory, the spool's disk fails: ${reason}`);
    if (state === 'healthy') metrics.unstored.inc(next() - 1 - storedThrough);
    state = 'memory-only';
    cause = reason;
    options.onFailed();
    release();
  }

  function look(): void {
    if (calls.isStalled(options.stallMs) && state !== 'memory-only')
      keepInMemory('the disk does not answer', undefined);
    proceed();
  }

  async function open(): Promise<void> {
    calls.begin();
    const opened = reattach().then(
      () => finish(null),
      (error: unknown) => {
        finish(error);
        return error;
      },
    );
    const error = await Promise.race([opened, disk.untilStalled(openTimeoutMs)]);
    if (error instanceof TollgateError && error.code === 'SPOOL_LOCKED') throw error;
    while (state === 'recovering') await calls.ended();
  }

  async function begin(): Promise<void> {
    await disk.begin(pending.first ?? next());
    retention.freeSegments();
  }

  async function close(): Promise<void> {
    clearInterval(timer);
    closing = true;
    const ended = endDisk();
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, closeTimeoutMs).unref())]);
  }

  async function endDisk(): Promise<void> {
    while (calls.isBusy) await calls.ended();
    try {
      if (detachDue) await disk.detach();
      if (disk.active() === null) await reattach();
      await writePending();
    } catch (error) {
      logger.error({ err: error }, `the spool could not be written at its end: ${messageOf(error)}`);
    }
    await retention.keep().catch(ignore);
    await disk.writeMark({ state: 'ended', through: next() - 1, atMs: clock.now() }).catch(ignore);
    await disk.close();
  }

  async function writePending(): Promise<void> {
    for (let piece = pending.nextPiece(); piece !== null; piece = pending.nextPiece()) {
      written(piece, await writePiece(disk.active(), piece, options.sync));
    }
  }
}

const answered = Promise.resolve();

/** What it would have kept is known in memory, and costs a redelivery or a number passed over. */
const ignore = (): void => undefined;

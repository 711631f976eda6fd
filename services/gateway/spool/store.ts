import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { TollgateError, messageOf } from '../../../shared/runtime/errors.ts';
import { withinOr } from '../../../shared/runtime/within.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Retention } from './retention.ts';
import { CallQueue } from './call-queue.ts';
import { writePiece } from './segments/active-segment.ts';
import type { Disk } from './disk.ts';
import type { SpoolMetrics } from './metrics.ts';
import type { PendingEvents, Piece } from './pending-events.ts';
import type { Segment } from './segments/segments.ts';
import { Iterations } from './iterations.ts';

/**
 * - `healthy`: all responses of one event-loop iteration are sent when their events are on the disk.
 * - `memory-only`: a call to the disk failed or hangs. Responses are sent at once, and the publisher reads events from memory.
 *   All files are closed, and every `retryIntervalMs` the folder is opened again.
 * - `recovering`: the folder is open again, and the events in memory are being written.
 */
export type StoreState = 'healthy' | 'memory-only' | 'recovering';

export interface Store {
  append(sequence: number, key: string, value: string): void;
  flushed(): Promise<void>;
  state(): StoreState;
  /** Why the store is not healthy; null if it is. */
  cause(): string | null;
  /** Opens the folder for the first time. Resolves when it is open, failed or hangs; rejects only with SPOOL_LOCKED. */
  open(): Promise<void>;
  /** Called when Kafka has all events on the disk below this sequence number. */
  acknowledged(unacknowledged: number): void;
  /** Unix milliseconds of the last successful write; null if there was none. */
  writtenAtMs(): number | null;
  /** Called when a file is missing: the next call to the disk then checks the folder. */
  checkFolder(): void;
  /** Writes the pending events, but waits only for a limited time, and closes all files. */
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly disk: Disk;
  readonly retention: Retention;
  readonly pending: PendingEvents;
  /** The sequence number of the next append. */
  readonly next: () => number;
  readonly segmentBytes: number;
  readonly bytesMax: number;
  readonly sync: boolean;
  /** Duration of a call to the disk after which responses no longer wait for the disk. */
  readonly stallMs: number;
  /** Time after which the gateway starts without waiting longer for the disk. */
  readonly openTimeoutMs: number;
  readonly clock: Clock;
  readonly metrics: SpoolMetrics;
  readonly logger: Logger;
  /** Called when a batch may be available for the publisher. */
  readonly onAvailable: () => void;
  /** Called when the disk failed: the reader then has to close its file. */
  readonly onFailed: () => void;
  /** Called when a range of events was dropped from the disk because the spool is full. */
  readonly onDropped: (first: number, last: number) => void;
  /** Called when another process has the lock of the folder. */
  readonly onLocked: (error: TollgateError) => void;
}

const stallCheckIntervalMs = 100;
const retryIntervalMs = 200;
const ownershipIntervalMs = 1_000;
const closeTimeoutMs = 2_000;
/** A write of the file `numbers` reserves this many numbers, plus four times those assigned since its last write. */
const sequencesAhead = 1_000;

/**
 * Writes events to the disk in order, with one call at a time: events that arrive during a write share the next write. Events
 * that the disk does not store stay in memory. A call that hangs delays other calls to the disk, but no response.
 */
export function createStore(options: StoreOptions): Store {
  const { disk, retention, pending, next, clock, metrics, logger } = options;
  const iterations = new Iterations();
  const calls = new CallQueue();
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
  const timer = setInterval(checkStall, stallCheckIntervalMs).unref();

  return {
    append,
    flushed: () => (state === 'healthy' ? iterations.newest : resolved),
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

  /** Lets all responses be sent without waiting for the disk; the publisher reads their events from memory. */
  function release(): void {
    iterations.resolveThrough(Infinity);
    options.onAvailable();
  }

  /** Begins the next call to the disk, unless a call is in progress. */
  function proceed(): void {
    if (calls.isBusy || closing) return;
    const task = nextTask();
    if (task !== null) {
      calls.begin();
      task().then(() => endCall(null), endCall);
      return;
    }
    const active = disk.active();
    if (state === 'memory-only' || active === null) return;
    const piece = pending.nextPiece();
    if (piece === null) return;
    if (active.segment.bytes > 0 && piece.first !== active.segment.last + 1) {
      // A gap in the sequence numbers needs a new segment: within a segment, a gap means corruption.
      pending.markUnstored();
      rotateDue = true;
      proceed();
      return;
    }
    calls.begin();
    active.write(piece, options.sync, (error) => {
      if (error === null) endWrite(piece, active.segment);
      else pending.markUnstored();
      const tookMs = endCall(error);
      if (error === null) metrics.writeSeconds.observe(tookMs / 1000);
    });
  }

  /** Ends the current call and begins the next one. Returns the duration of the ended call in milliseconds. */
  function endCall(error: unknown): number {
    const tookMs = calls.end();
    if (error !== null) fail(error);
    proceed();
    return tookMs;
  }

  function endWrite(piece: Piece, segment: Segment): void {
    if (segment.bytes === 0) segment.begins = piece.first;
    retention.segments()?.written.add(segment, segment.bytes, piece);
    segment.bytes += piece.to - piece.from;
    segment.last = storedThrough = piece.last;
    pending.markStored(piece);
    writtenAtMs = clock.now();
    if (state === 'healthy') iterations.resolveThrough(storedThrough);
    if (segment.bytes >= options.segmentBytes) rotateDue = true;
    for (const { first, last } of retention.makeRoom(options.bytesMax)) options.onDropped(first, last);
    options.onAvailable();
  }

  /** Returns the task that has to run before the next write, or null. */
  function nextTask(): (() => Promise<void>) | null {
    if (detachDue) {
      detachDue = false;
      return () => disk.detach();
    }
    if (state === 'memory-only') return performance.now() >= retryAt ? reattach : null;
    if (rotateDue) {
      rotateDue = false;
      return beginSegment;
    }
    if (retention.isDue) return () => retention.apply();
    if (state === 'recovering') return pending.first === null ? becomeHealthy : null;
    return performance.now() >= ownershipAt ? checkOwnership : null;
  }

  async function reattach(): Promise<void> {
    retryAt = performance.now() + retryIntervalMs;
    await disk.attach();
    // Acknowledged segments are removed first, which frees space on a full disk.
    await retention.apply();
    const assigned = next() - 1;
    const through = assigned + sequencesAhead + 4 * Math.max(0, assigned - markedThrough);
    await disk.writeMark({ state: 'memory', through, atMs: clock.now() }).catch(ignore);
    markedThrough = assigned;
    await disk.probe(options.sync);
    await beginSegment();
    rotateDue = false;
    state = 'recovering';
  }

  async function becomeHealthy(): Promise<void> {
    await checkOwnership();
    logger.info({ after: cause }, 'the disk of the spool stores events again');
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
      logger.error({ err: error }, `the disk of the spool fails, events stay in memory: ${reason}`);
    if (state === 'healthy') metrics.unstored.inc(next() - 1 - storedThrough);
    state = 'memory-only';
    cause = reason;
    options.onFailed();
    release();
  }

  function checkStall(): void {
    if (calls.isStalled(options.stallMs) && state !== 'memory-only')
      keepInMemory('a call to the disk hangs', undefined);
    proceed();
  }

  async function open(): Promise<void> {
    calls.begin();
    const opened = reattach().then(
      () => endCall(null),
      (error: unknown) => {
        endCall(error);
        return error;
      },
    );
    const error = await Promise.race([opened, disk.untilStalled(options.openTimeoutMs)]);
    if (error instanceof TollgateError && error.code === 'SPOOL_LOCKED') throw error;
    while (state === 'recovering') await calls.ended();
  }

  async function beginSegment(): Promise<void> {
    await disk.beginSegment(pending.first ?? next());
    retention.freeSegments();
  }

  async function close(): Promise<void> {
    clearInterval(timer);
    closing = true;
    await withinOr(closeDisk(), closeTimeoutMs, undefined);
  }

  async function closeDisk(): Promise<void> {
    while (calls.isBusy) await calls.ended();
    try {
      if (detachDue) await disk.detach();
      if (disk.active() === null) await reattach();
      await writePending();
    } catch (error) {
      logger.error(
        { err: error },
        `pending events could not be written when the spool closed: ${messageOf(error)}`,
      );
    }
    await retention.apply().catch(ignore);
    await disk.writeMark({ state: 'ended', through: next() - 1, atMs: clock.now() }).catch(ignore);
    await disk.close();
  }

  async function writePending(): Promise<void> {
    for (let piece = pending.nextPiece(); piece !== null; piece = pending.nextPiece()) {
      endWrite(piece, await writePiece(disk.active(), piece, options.sync));
    }
  }
}

const resolved = Promise.resolve();
/** If a write of a mark or of the cursor fails, events are sent again or numbers are skipped, but no event is lost. */
const ignore = (): void => undefined;

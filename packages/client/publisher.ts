import process from 'node:process';
import { DiskQueue } from './disk-queue.ts';
import { TollgateError, messageOf } from './errors.ts';
import { encodeEvent } from './event.ts';
import type { QueuedEvent, UsageEvent } from './event.ts';
import { MemoryQueue } from './memory-queue.ts';
import type { LossReason, PublisherOptions, PublisherStats } from './publisher-options.ts';
import { sendBatch } from './send-batch.ts';
import type { BatchResult } from './send-batch.ts';
import { Signal } from './signal.ts';

export type { UsageEvent } from './event.ts';
export type { LossReason, PublisherOptions, PublisherStats } from './publisher-options.ts';
export { TollgateError };

const mebibyte = 1024 * 1024;
const eventBytesMax = 131_072;
/** Below the largest request of the API, which is 1 MiB. */
const batchBytesMax = 900_000;
const retryMs = { first: 100, max: 30_000 };
const exitFlushMs = 5_000;

/**
 * Publishes usage events without a wait of the application. The id and the time of an event are fixed when it is
 * published; the event is then sent until Tollgate has stored it, and is counted once. Events wait in memory, and on
 * disk when memory is full. An event that is rejected or lost is always reported.
 */
export class UsagePublisher {
  readonly #options: PublisherOptions;
  readonly #memory = new MemoryQueue();
  readonly #disk: DiskQueue | null;
  readonly #changed = new Signal();
  #inFlight: readonly QueuedEvent[] = [];
  #inFlightBytes = 0;
  /** Aborts the request in flight when the publisher is closed. */
  readonly #abort = new AbortController();
  /** Number of events at the front of the queue that are also in the file that was read last. */
  #onDisk = 0;
  #failures = 0;
  #flushing = 0;
  #closed = false;
  #stored = 0;
  #rejected = 0;
  #lost = 0;
  readonly #running: Promise<void>;
  readonly #onBeforeExit = (): void => void (this.#isIdle() ? null : this.flush(exitFlushMs));
  readonly #onExit = (): void => this.#saveOrLose();

  constructor(options: PublisherOptions) {
    this.#options = options;
    const { directory, diskBytesMax = 1024 * mebibyte } = options;
    const onError = (error: unknown): void => this.#reportError(error);
    const bounds = { bytesMax: diskBytesMax, bufferBytesMax: this.#memoryBytesMax(), onError };
    this.#disk = directory === undefined ? null : new DiskQueue({ directory, ...bounds });
    process.once('beforeExit', this.#onBeforeExit);
    process.once('exit', this.#onExit);
    this.#running = this.#run();
  }

  /**
   * Takes over an event and returns its id. Never waits. Throws a TypeError if the event has no JSON text, and an Error
   * after `close`.
   */
  publish(event: UsageEvent): string {
    if (this.#closed) throw new Error('The publisher is closed: publish before close().');
    const queued = encodeEvent(event, this.#options.source);
    if (queued.bytes > eventBytesMax) this.#reject(queued, `the event is larger than ${eventBytesMax} bytes`);
    else if (!this.#enqueue(queued)) this.#lose(1, 'full');
    else if (this.#memory.size <= 1 || this.#memory.size === this.#batchEventsMax()) this.#changed.notify();
    return queued.id;
  }

  /** Resolves with true when all events are stored or rejected, and with false after `timeoutMs`. */
  async flush(timeoutMs = 10_000): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    this.#flushing += 1;
    this.#changed.notify();
    while (!this.#isIdle() && performance.now() < deadline) {
      await this.#changed.wait(deadline - performance.now(), true);
    }
    this.#flushing -= 1;
    return this.#isIdle();
  }

  /**
   * Sends the remaining events for at most `timeoutMs`. Those that are not stored then are written to the directory
   * for the next process; without a directory they are lost, and reported. Resolves with true if all were stored.
   */
  async close(timeoutMs = 10_000): Promise<boolean> {
    if (this.#closed) return this.#isIdle();
    this.#closed = true;
    const isComplete = await this.flush(timeoutMs);
    process.off('beforeExit', this.#onBeforeExit);
    process.off('exit', this.#onExit);
    this.#saveOrLose();
    this.#abort.abort();
    this.#changed.notify();
    await this.#running;
    return isComplete;
  }

  stats(): PublisherStats {
    return {
      queued: this.#memory.size + this.#inFlight.length,
      diskBytes: this.#disk?.bytes ?? 0,
      stored: this.#stored,
      rejected: this.#rejected,
      lost: this.#lost,
    };
  }

  #enqueue(event: QueuedEvent): boolean {
    const disk = this.#disk;
    const fits = this.#memory.bytes + this.#inFlightBytes + event.bytes <= this.#memoryBytesMax();
    // While events are on disk, later ones follow them there, so that the order is kept.
    if (disk === null || (this.#options.durable !== true && disk.bytes === 0 && fits)) {
      if (fits) this.#memory.push(event);
      return fits;
    }
    return disk.append(event);
  }

  async #run(): Promise<void> {
    const { timeoutMs = 10_000 } = this.#options;
    const batchEventsMax = this.#batchEventsMax();
    while (!this.#isStopped()) {
      if (this.#memory.size === 0) await this.#readDisk();
      if (this.#memory.size === 0) {
        await this.#changed.wait(null);
        continue;
      }
      if (this.#memory.size < batchEventsMax && this.#onDisk === 0) await this.#linger();
      this.#inFlight = this.#memory.take(batchEventsMax, batchBytesMax);
      this.#inFlightBytes = bytesOf(this.#inFlight);
      const bounds = { timeoutMs, signal: this.#abort.signal };
      const result = await sendBatch(this.#options, this.#inFlight, bounds);
      if (this.#isStopped()) return;
      await this.#settle(result);
    }
  }

  /** Moves the events of the oldest file to memory. */
  async #readDisk(): Promise<void> {
    if (this.#disk === null || this.#disk.bytes === 0) return;
    try {
      const segment = await this.#disk.next();
      if (segment === null) return;
      for (const event of segment.events) this.#memory.push(event);
      this.#onDisk = segment.events.length;
      if (segment.torn) this.#lose(1, 'damaged');
      if (this.#onDisk === 0) await this.#disk.remove();
    } catch (error) {
      this.#reportError(error);
      await this.#pause(retryMs.first);
    }
  }

  async #settle({ rejected, unsent, stored, error }: BatchResult): Promise<void> {
    this.#stored += stored;
    for (const { event, reason } of rejected) this.#reject(event, reason);
    if (this.#onDisk > 0) {
      this.#onDisk = Math.max(0, this.#onDisk - stored - rejected.length);
      if (this.#onDisk === 0) await this.#disk?.remove().catch((cause: unknown) => this.#reportError(cause));
    }
    this.#inFlight = [];
    this.#inFlightBytes = 0;
    this.#memory.putBack(unsent);
    this.#changed.notify();
    if (error === null) {
      this.#failures = 0;
      return;
    }
    this.#reportError(error);
    const backoffMs = Math.min(retryMs.max, retryMs.first * 2 ** Math.min(this.#failures, 20));
    this.#failures += 1;
    // Random, so that the processes of an application do not all send at the same moment.
    const jitteredMs = backoffMs * (0.5 + Math.random() / 2);
    await this.#pause(Math.max(jitteredMs, (error.retryAfterSeconds ?? 0) * 1_000));
  }

  /** Waits until the batch is full, but only for a short time, and not at all while the publisher is flushed. */
  async #linger(): Promise<void> {
    const { lingerMs = 100 } = this.#options;
    const batchEventsMax = this.#batchEventsMax();
    const deadline = performance.now() + lingerMs;
    while (this.#flushing === 0 && this.#memory.size < batchEventsMax && performance.now() < deadline) {
      await this.#changed.wait(deadline - performance.now());
    }
  }

  async #pause(durationMs: number): Promise<void> {
    const deadline = performance.now() + durationMs;
    while (!this.#isStopped() && performance.now() < deadline) {
      await this.#changed.wait(deadline - performance.now());
    }
  }

  #saveOrLose(): void {
    const events = [...this.#inFlight, ...this.#memory.takeAll()].slice(this.#onDisk);
    this.#inFlight = [];
    try {
      if (this.#disk !== null) this.#disk.saveNow(events);
      else if (events.length > 0) this.#lose(events.length, 'exit');
    } catch (error) {
      this.#reportError(error);
      this.#lose(events.length, 'exit');
    }
  }

  #isIdle(): boolean {
    return this.#memory.size === 0 && this.#inFlight.length === 0 && (this.#disk?.bytes ?? 0) === 0;
  }

  #isStopped(): boolean {
    return this.#closed && this.#flushing === 0;
  }

  #batchEventsMax(): number {
    return this.#options.batchEventsMax ?? 1_000;
  }

  #memoryBytesMax(): number {
    return this.#options.memoryBytesMax ?? 16 * mebibyte;
  }

  #reject(event: QueuedEvent, reason: string): void {
    this.#rejected += 1;
    const { onRejected = (_text, why) => void process.stderr.write(`tollgate: event rejected: ${why}\n`) } =
      this.#options;
    onRejected(event.text, reason);
  }

  #lose(count: number, reason: LossReason): void {
    this.#lost += count;
    const { onLost = (lost, why) => void process.stderr.write(`tollgate: events lost: ${lost} (${why})\n`) } =
      this.#options;
    onLost(count, reason);
  }

  #reportError(error: unknown): void {
    this.#options.onError?.(
      error instanceof TollgateError ? error : new TollgateError(messageOf(error), { cause: error }),
    );
  }
}

function bytesOf(events: readonly QueuedEvent[]): number {
  let bytes = 0;
  for (const event of events) bytes += event.bytes;
  return bytes;
}

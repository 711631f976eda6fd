import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { appendFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers';
import { byteLengthOf } from './event.ts';
import type { QueuedEvent } from './event.ts';

export interface Segment {
  readonly path: string;
  readonly events: readonly QueuedEvent[];
  /** True if the end of the file is a part of an event, because a process was killed while it wrote. */
  readonly torn: boolean;
}

export interface DiskQueueOptions {
  readonly directory: string;
  readonly bytesMax: number;
  /** Largest size of the events that wait in memory to be written. */
  readonly bufferBytesMax: number;
  readonly onError: (error: unknown) => void;
}

const segmentBytesMax = 4 * 1024 * 1024;
const suffix = '.jsonl';

/**
 * Events in files of a directory, one JSON text a line, in the order in which they are sent. Files that an earlier
 * process left come first. A file is removed when all its events are stored; if the process ends before that, they are
 * sent again by the next one, which is harmless, because an event is counted once.
 */
export class DiskQueue {
  readonly #options: DiskQueueOptions;
  /** Complete files with their sizes, oldest first. */
  readonly #complete: { readonly path: string; readonly bytes: number }[] = [];
  #open: { readonly path: string; bytes: number } | null = null;
  #buffer: string[] = [];
  #bufferBytes = 0;
  #bytes = 0;
  /** Events at the front of the buffer that are being written, and their bytes. */
  #inFlight = { count: 0, bytes: 0 };
  /** Complete files whose events follow those that are being written. */
  #later: { readonly path: string; readonly bytes: number }[] = [];
  #segments = 0;
  #writing: Promise<void> | null = null;
  /** The file that was returned by `next` and not removed yet. */
  #reading: { readonly path: string; readonly bytes: number } | null = null;

  constructor(options: DiskQueueOptions) {
    this.#options = options;
    mkdirSync(options.directory, { recursive: true });
    for (const name of readdirSync(options.directory).sort()) {
      if (!name.endsWith(suffix)) continue;
      const path = join(options.directory, name);
      const bytes = statSync(path).size;
      this.#complete.push({ path, bytes });
      this.#bytes += bytes;
    }
  }

  /** Bytes of all events that `next` has not returned. */
  get bytes(): number {
    return this.#bytes + this.#bufferBytes;
  }

  /** Returns false if there is no room for the event. */
  append({ text, bytes }: QueuedEvent): boolean {
    const { bytesMax, bufferBytesMax } = this.#options;
    if (this.bytes + bytes + 1 > bytesMax) return false;
    const waiting = this.#bufferBytes - this.#inFlight.bytes + bytes + 1;
    if (waiting > bufferBytesMax && !this.#writeNow()) return false;
    this.#buffer.push(text);
    this.#bufferBytes += bytes + 1;
    this.#writing ??= this.#write();
    return true;
  }

  /** Reads the oldest file; null if there are no events. */
  async next(): Promise<Segment | null> {
    if (this.#complete.length === 0) {
      // After a failure, this is the next attempt to write.
      if (this.#buffer.length > 0) this.#writing ??= this.#write();
      await this.#writing;
      this.#completeOpen();
    }
    const [oldest] = this.#complete;
    if (oldest === undefined) return null;
    const text = await readFile(oldest.path, 'utf8');
    this.#complete.shift();
    this.#bytes -= oldest.bytes;
    this.#reading = oldest;
    const lines = text.split('\n');
    const torn = lines.pop() !== '';
    const events = lines.map((line) => ({ text: line, bytes: byteLengthOf(line) }));
    return { path: oldest.path, events, torn };
  }

  /** Removes the file that `next` returned. */
  async remove(): Promise<void> {
    const path = this.#reading?.path;
    this.#reading = null;
    if (path !== undefined) await rm(path, { force: true });
  }

  /** Writes events, and those that wait to be written, before the process ends. Throws if the disk fails. */
  saveNow(events: readonly QueuedEvent[]): void {
    const texts = [...events.map(({ text }) => text), ...this.#buffer];
    if (texts.length === 0) return;
    this.#buffer = [];
    this.#bufferBytes = 0;
    writeFileSync(this.#nextPath(), lines(texts));
  }

  /**
   * Writes the buffer at once, because events arrive faster than the disk writes in the background. A megabyte takes
   * about a millisecond; the alternative would be to lose events. Returns false if the disk fails.
   */
  #writeNow(): boolean {
    const { count, bytes: bytesInFlight } = this.#inFlight;
    const texts = this.#buffer.slice(count);
    if (texts.length === 0) return false;
    const file = { path: this.#nextPath(), bytes: this.#bufferBytes - bytesInFlight };
    try {
      writeFileSync(file.path, lines(texts));
    } catch (error) {
      this.#options.onError(error);
      return false;
    }
    this.#buffer = this.#buffer.slice(0, count);
    this.#bufferBytes = bytesInFlight;
    this.#bytes += file.bytes;
    this.#later.push(file);
    if (count === 0) this.#completeOpen();
    return true;
  }

  async #write(): Promise<void> {
    // All events of one iteration of the event loop share one write.
    await new Promise<void>((resolve) => void setImmediate(resolve));
    while (this.#buffer.length > 0) {
      const count = this.#buffer.length;
      const bytes = this.#bufferBytes;
      this.#inFlight = { count, bytes };
      this.#open ??= { path: this.#nextPath(), bytes: 0 };
      try {
        // The events stay in the buffer until they are written, so that `saveNow` finds them.
        await appendFile(this.#open.path, lines(this.#buffer));
      } catch (error) {
        // A part of the last event may be in the file, so the next write begins another file.
        this.#inFlight = { count: 0, bytes: 0 };
        this.#completeOpen();
        this.#writing = null;
        this.#options.onError(error);
        return;
      }
      this.#buffer = this.#buffer.slice(count);
      this.#bufferBytes -= bytes;
      this.#bytes += bytes;
      this.#open.bytes += bytes;
      this.#inFlight = { count: 0, bytes: 0 };
      if (this.#open.bytes >= segmentBytesMax || this.#later.length > 0) this.#completeOpen();
    }
    this.#writing = null;
  }

  #completeOpen(): void {
    if (this.#open !== null && this.#open.bytes > 0) this.#complete.push(this.#open);
    this.#open = null;
    this.#complete.push(...this.#later.splice(0));
  }

  /** Names sort by the time of the process, and then by the order of its files. */
  #nextPath(): string {
    this.#segments += 1;
    const name = `${startedAt}-${String(this.#segments).padStart(8, '0')}${suffix}`;
    return join(this.#options.directory, name);
  }
}

const startedAt = `${Date.now()}-${crypto.randomUUID().slice(0, 8)}`;

function lines(texts: readonly string[]): string {
  return `${texts.join('\n')}\n`;
}

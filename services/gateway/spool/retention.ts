import type { Disk } from './disk.ts';
import { lastIn } from './segments/segments.ts';
import type { Segments } from './segments/segments.ts';

/**
 * Shortest time between two writes of the cursor. If the process crashes in between, the events that Kafka acknowledged meanwhile
 * are sent again.
 */
const cursorIntervalMs = 100;

/**
 * Removes the segments that are no longer needed: those whose events Kafka has, and the oldest ones above the bound of
 * the spool. Also writes the cursor.
 */
export class Retention {
  readonly #disk: Disk;
  /** Returns the segments of the folder; null until the folder was read. */
  readonly segments: () => Segments | null;
  #unacknowledged = 0;
  #cursorDue = false;
  #cursorWrittenAt = -Infinity;

  constructor(disk: Disk, segments: () => Segments | null) {
    this.#disk = disk;
    this.segments = segments;
  }

  /** Called when Kafka has all events on the disk below this sequence number. */
  advance(unacknowledged: number): void {
    this.#unacknowledged = unacknowledged;
    this.#cursorDue = true;
    this.freeSegments();
  }

  /** Drops every segment whose events Kafka has, except the active segment. */
  freeSegments(): void {
    const all = this.segments();
    const active = this.#disk.active()?.segment;
    for (let oldest = all?.list[0]; oldest !== undefined; oldest = all?.list[0]) {
      if (oldest === active || oldest.last >= this.#unacknowledged) break;
      all?.dropOldest();
    }
  }

  /** Drops the oldest segments of a full spool. Returns the ranges of dropped events that Kafka does not have. */
  makeRoom(bytesMax: number): { readonly first: number; readonly last: number }[] {
    const all = this.segments();
    const dropped = [];
    while (all !== null && all.list.length > 1 && all.bytesTotal > bytesMax) {
      const oldest = all.dropOldest();
      if (oldest === null) break;
      dropped.push({ first: Math.max(oldest.begins, this.#unacknowledged), last: lastIn(oldest) });
    }
    return dropped;
  }

  get isDue(): boolean {
    const isIntervalOver = performance.now() - this.#cursorWrittenAt >= cursorIntervalMs;
    return (this.#cursorDue && isIntervalOver) || this.segments()?.hasRemovable === true;
  }

  /** Writes the cursor and removes the files that are no longer needed. A cursor whose write fails stays due. */
  async apply(): Promise<void> {
    if (this.#cursorDue) await this.#writeCursor();
    await this.segments()?.removeFiles();
  }

  async #writeCursor(): Promise<void> {
    this.#cursorDue = false;
    this.#cursorWrittenAt = performance.now();
    try {
      await this.#disk.writeCursor(this.#unacknowledged);
    } catch (error) {
      this.#cursorDue = true;
      throw error;
    }
  }
}

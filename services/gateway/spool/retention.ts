import type { Disk } from './disk.ts';
import { lastIn } from './segments/segments.ts';
import type { Segments } from './segments/segments.ts';

/** What Kafka has of the events on the disk: it moves the cursor and frees segments. */
export class Retention {
  readonly #disk: Disk;
  readonly #segments: () => Segments | null;
  #unacknowledged = 0;
  #cursorDue = false;

  constructor(disk: Disk, segments: () => Segments | null) {
    this.#disk = disk;
    this.#segments = segments;
  }

  /** Kafka has all events on the disk below this sequence. */
  advance(unacknowledged: number): void {
    this.#unacknowledged = unacknowledged;
    this.#cursorDue = true;
    this.freeSegments();
  }

  /** Segments that Kafka has go, all but the one that is written to. */
  freeSegments(): void {
    const all = this.#segments();
    const active = this.#disk.active()?.segment;
    for (let oldest = all?.list[0]; oldest !== undefined; oldest = all?.list[0]) {
      if (oldest === active || oldest.last >= this.#unacknowledged) break;
      all?.dropOldest();
    }
  }

  /** The stated policy of a full spool: the oldest segments go. Answers the events that Kafka does not have. */
  makeRoom(bytesMax: number): { readonly first: number; readonly last: number }[] {
    const all = this.#segments();
    const dropped = [];
    while (all !== null && all.list.length > 1 && all.bytesTotal > bytesMax) {
      const oldest = all.dropOldest();
      if (oldest === null) break;
      dropped.push({ first: Math.max(oldest.begins, this.#unacknowledged), last: lastIn(oldest) });
    }
    return dropped;
  }

  get isDue(): boolean {
    return this.#cursorDue || this.#segments()?.hasRemovable === true;
  }

  /** Writes the cursor and removes the files that are no longer needed. */
  async keep(): Promise<void> {
    const isDue = this.#cursorDue;
    this.#cursorDue = false;
    if (isDue) await this.#disk.writeCursor(this.#unacknowledged);
    await this.#segments()?.removeFiles();
  }
}

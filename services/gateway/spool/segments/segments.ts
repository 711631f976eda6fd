import { readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { headerBytes, nextRecordAfter, readRecord } from './record.ts';
import { WrittenBytes } from './written-bytes.ts';

export interface Segment {
  /** A number that is at most the first sequence number of the segment; it is also the name of its file. */
  readonly first: number;
  readonly path: string;
  /** Total size in bytes of the complete records. */
  bytes: number;
  /** The first sequence number of the segment; equal to `first` until the first record is written. */
  begins: number;
  /**
   * The last sequence number of the segment; `first - 1` if it has no records. If an earlier run wrote the segment,
   * this is an upper bound.
   */
  last: number;
  /** True if this run wrote the segment. Then the segment has every sequence number from `begins` to `last`. */
  readonly own: boolean;
  /**
   * `missing`: the file could not be opened. `removed`: the file could not be opened, and a later listing of the folder
   * did not contain it either.
   */
  file: 'present' | 'missing' | 'removed';
}

const suffix = '.seg';
/** Name of the folder for corrupt bytes, which an operator may inspect. */
export const damagedFolder = 'damaged';

/** The segments of a spool, oldest first. The last one may be the active segment. */
export class Segments {
  readonly list: Segment[] = [];
  /** The newest bytes of the active segment. */
  readonly written = new WrittenBytes();
  /** Paths of files that are no longer needed. */
  readonly #removable: string[] = [];
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  get bytesTotal(): number {
    return this.list.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get lastSequence(): number {
    return this.list.at(-1)?.last ?? 0;
  }

  /** Returns a segment without events. The caller adds it to the list after its file was created. */
  newSegment(first: number, own: boolean): Segment {
    const path = join(this.#directory, nameOf(first));
    return { first, path, bytes: 0, begins: first, last: first - 1, own, file: 'present' };
  }

  /** Removes the oldest segment from the list. The next `removeFiles` removes its file. */
  dropOldest(): Segment | null {
    const oldest = this.list.shift();
    if (oldest !== undefined) this.#removable.push(oldest.path);
    return oldest ?? null;
  }

  /** Removes a segment without events from the list. The next `removeFiles` removes its file. */
  discard(segment: Segment): void {
    this.forget(segment);
    this.#removable.push(segment.path);
  }

  /** Removes a segment from the list. The file of this segment has been removed already. */
  forget(segment: Segment): void {
    const index = this.list.indexOf(segment);
    if (index !== -1) this.list.splice(index, 1);
  }

  /**
   * Determines which of the missing files were removed. The caller must have checked before that the folder is at its
   * path.
   */
  async checkMissing(): Promise<void> {
    const missing = this.list.filter(({ file }) => file === 'missing');
    if (missing.length === 0) return;
    // One listing is used and not a stat of each file. If the folder disappears at this moment, the listing
    // fails, but each stat would report that its file was removed.
    const names = new Set(await readdir(this.#directory));
    for (const segment of missing) segment.file = names.has(basename(segment.path)) ? 'present' : 'removed';
  }

  get hasRemovable(): boolean {
    return this.#removable.length > 0;
  }

  async removeFiles(): Promise<void> {
    for (let path = this.#removable[0]; path !== undefined; path = this.#removable[0]) {
      // A new segment may replace an empty one under the same file name. The file is then kept.
      if (!this.list.some((segment) => segment.path === path)) await rm(path, { force: true });
      this.#removable.shift();
    }
  }
}

export interface FoundSegments {
  readonly segments: Segments;
  /**
   * Size of the incomplete record at the end, which was being written when the process crashed. The response to its
   * request was not sent.
   */
  readonly tornBytes: number;
  /**
   * Number of bytes at the end of the segment that cannot be the beginning of a record. They were moved to `damaged/`.
   */
  readonly damagedBytes: number;
}

/** Finds the segments of the folder, and cuts off an incomplete record that a crash left at the end. */
export async function findSegments(directory: string): Promise<FoundSegments> {
  const segments = new Segments(directory);
  const names = (await readdir(directory)).filter((name) => name.endsWith(suffix)).toSorted();
  for (const name of names) {
    const segment = segments.newSegment(Number(name.slice(0, -suffix.length)), false);
    segment.bytes = (await stat(segment.path)).size;
    segments.list.push(segment);
  }
  segments.list.forEach((segment, index) => {
    segment.last = (segments.list[index + 1]?.first ?? segment.first) - 1;
  });
  const last = segments.list.at(-1);
  const tail = last === undefined ? null : await cutTail(directory, last);
  return { segments, tornBytes: tail?.tornBytes ?? 0, damagedBytes: tail?.damagedBytes ?? 0 };
}

/**
 * Returns the last sequence number that the segment may have. For a segment of an earlier run, its size bounds this
 * number.
 */
export function lastIn({ begins, last, bytes, own }: Segment): number {
  return own ? last : Math.min(last, begins + Math.floor(bytes / headerBytes));
}

/** File name of a segment. It is padded with zeros, so that sorting names sorts the numbers. */
function nameOf(first: number): string {
  return `${String(first).padStart(16, '0')}${suffix}`;
}

async function cutTail(
  directory: string,
  segment: Segment,
): Promise<{ tornBytes: number; damagedBytes: number }> {
  const bytes = await readFile(segment.path);
  let at = 0;
  let end = 0;
  while (at < bytes.length) {
    const outcome = readRecord(bytes, at);
    if (outcome.kind === 'record') {
      segment.last = Math.max(segment.last, outcome.record.sequence);
      at = end = outcome.end;
      continue;
    }
    // Corrupt bytes before a later record stay in place: the reader skips them.
    const next = nextRecordAfter(bytes, at);
    if (next === -1) break;
    at = next;
  }
  const tail = bytes.subarray(end);
  segment.bytes = end;
  if (tail.length === 0) return { tornBytes: 0, damagedBytes: 0 };
  const torn = readRecord(bytes, end).kind === 'more' || tail.every((byte) => byte === 0);
  if (!torn) await saveDamagedBytes(directory, segment.first, end, tail);
  await truncate(segment.path, end);
  return { tornBytes: torn ? tail.length : 0, damagedBytes: torn ? 0 : tail.length };
}

/**
 * Saves corrupt bytes in a file that is named by segment and offset, so that they can be inspected. If the write fails,
 * the error is ignored.
 */
export async function saveDamagedBytes(
  directory: string,
  first: number,
  at: number,
  bytes: Buffer,
): Promise<void> {
  await writeFile(join(directory, damagedFolder, `${first}-${at}.bin`), bytes).catch(() => undefined);
}

import { readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { headerBytes, nextRecordAfter, readRecord } from './record.ts';

export interface Segment {
  /** Lower bound of its first sequence number, and the name of its file. */
  readonly first: number;
  readonly path: string;
  /** Bytes of complete records. */
  bytes: number;
  /** Its first sequence number; `first` until its first record is written. */
  begins: number;
  /** Its last sequence number; `first - 1` without records. An upper bound if an earlier run wrote the segment. */
  last: number;
  /** True if this run wrote the segment: then it has every number from `begins` to `last`. */
  readonly own: boolean;
  /** `missing`: the file could not be opened. `removed`: after that, a listing of the folder did not contain it. */
  file: 'present' | 'missing' | 'removed';
}

const suffix = '.seg';
/** The folder that corrupt bytes are moved to, for an inspection. */
export const damagedFolder = 'damaged';

/** The segments of a spool, oldest first. The last one may be the active segment. */
export class Segments {
  readonly list: Segment[] = [];
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

  /** Returns a segment without events. The caller adds it to the list when its file exists. */
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

  /** Removes a segment from the list whose file is removed already. */
  forget(segment: Segment): void {
    const index = this.list.indexOf(segment);
    if (index !== -1) this.list.splice(index, 1);
  }

  /** Finds out which of the missing files were removed. The caller has just found the folder at its path. */
  async checkMissing(): Promise<void> {
    const missing = this.list.filter(({ file }) => file === 'missing');
    if (missing.length === 0) return;
    // A listing fails if the folder disappears meanwhile; a stat of each file would report the file as missing.
    const names = new Set(await readdir(this.#directory));
    for (const segment of missing) segment.file = names.has(basename(segment.path)) ? 'present' : 'removed';
  }

  get hasRemovable(): boolean {
    return this.#removable.length > 0;
  }

  async removeFiles(): Promise<void> {
    for (let path = this.#removable[0]; path !== undefined; path = this.#removable[0]) {
      // The name may be in use again, for a segment that replaced an empty one.
      if (!this.list.some((segment) => segment.path === path)) await rm(path, { force: true });
      this.#removable.shift();
    }
  }
}

export interface FoundSegments {
  readonly segments: Segments;
  /** Bytes of an incomplete record at the end, which was being written in a crash. Its response was not sent. */
  readonly tornBytes: number;
  /** Bytes at the end that are not the beginning of a record, and were moved to `damaged/`. */
  readonly damagedBytes: number;
}

/** Finds the segments of the folder, and cuts off the incomplete record of a crash. */
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

/** The last sequence number that the segment can have; an earlier run's segment is bounded by its size. */
export function lastIn({ begins, last, bytes, own }: Segment): number {
  return own ? last : Math.min(last, begins + Math.floor(bytes / headerBytes));
}

/** Zero-padded, so that the order of names is the order of numbers. */
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

/** Saves corrupt bytes in a file named by segment and offset, for an inspection. A failed write is ignored. */
export async function saveDamagedBytes(
  directory: string,
  first: number,
  at: number,
  bytes: Buffer,
): Promise<void> {
  await writeFile(join(directory, damagedFolder, `${first}-${at}.bin`), bytes).catch(() => undefined);
}

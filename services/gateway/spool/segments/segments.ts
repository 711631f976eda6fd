import { readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { headerBytes, nextRecordAfter, readRecord } from './record.ts';

export interface Segment {
  /** Sequence of its first record; also its name. */
  readonly first: number;
  readonly path: string;
  /** Bytes of whole records. */
  bytes: number;
  /** Sequence of its first record as far as it is known: not below `first`. */
  begins: number;
  /** Sequence of its last record, below `first` when it has none; of one that was found on opening, at the most. */
  last: number;
  /** Written since the spool was opened: it has every number from its first to its last. */
  readonly own: boolean;
  /** `missed`: it could not be opened. `gone`: a listing of the folder did not have it after that. */
  file: 'present' | 'missed' | 'gone';
}

const suffix = '.seg';
/** Where damaged bytes are moved to, for an inspection. */
export const damagedFolder = 'damaged';

/** The files of a spool as far as they have whole records, oldest first; the store may be writing to the last one. */
export class Segments {
  readonly list: Segment[] = [];
  /** Files that are no longer needed. */
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

  /** A segment without events, to be added to the list once its file is there. */
  make(first: number, own: boolean): Segment {
    const path = join(this.#directory, nameOf(first));
    return { first, path, bytes: 0, begins: first, last: first - 1, own, file: 'present' };
  }

  /** Forgets the oldest segment; its file goes with the next `removeFiles`. */
  dropOldest(): Segment | null {
    const oldest = this.list.shift();
    if (oldest !== undefined) this.#removable.push(oldest.path);
    return oldest ?? null;
  }

  /** Forgets a segment that has no event. */
  discard(segment: Segment): void {
    this.forget(segment);
    this.#removable.push(segment.path);
  }

  /** Forgets a segment whose file is gone. */
  forget(segment: Segment): void {
    const index = this.list.indexOf(segment);
    if (index !== -1) this.list.splice(index, 1);
  }

  /** Decides which of the missed files are gone. To be called when the folder was just found at its path. */
  async checkMissing(): Promise<void> {
    const missed = this.list.filter(({ file }) => file === 'missed');
    if (missed.length === 0) return;
    // Not by a call for each file: where the folder went away meanwhile, a listing fails.
    const names = new Set(await readdir(this.#directory));
    for (const segment of missed) segment.file = names.has(basename(segment.path)) ? 'present' : 'gone';
  }

  get hasRemovable(): boolean {
    return this.#removable.length > 0;
  }

  async removeFiles(): Promise<void> {
    for (let path = this.#removable[0]; path !== undefined; path = this.#removable[0]) {
      // The number may be in use again, for a segment that took the place of an empty one.
      if (!this.list.some((segment) => segment.path === path)) await rm(path, { force: true });
      this.#removable.shift();
    }
  }
}

export interface FoundSegments {
  readonly segments: Segments;
  /** Bytes of a record that was being written when the process died; its response had not left. */
  readonly tornBytes: number;
  /** Bytes at the end that are no beginning of a record; moved to `damaged/`. */
  readonly damagedBytes: number;
}

/** Reads what the folder holds, and cuts off what the last write left unfinished. */
export async function findSegments(directory: string): Promise<FoundSegments> {
  const segments = new Segments(directory);
  const names = (await readdir(directory)).filter((name) => name.endsWith(suffix)).toSorted();
  for (const name of names) {
    const segment = segments.make(Number(name.slice(0, -suffix.length)), false);
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

/** Sequence of the last event that the segment can hold. */
export function lastIn({ begins, last, bytes, own }: Segment): number {
  return own ? last : Math.min(last, begins + Math.floor(bytes / headerBytes));
}

/** Zero-padded, so that names sort as numbers do. */
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
    // Damage in the middle stays where it is: the reader steps over it when it comes there.
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

/** Keeps damaged bytes in a file named by where they stood, if the disk takes it: an inspection needs them, no event. */
export async function saveDamagedBytes(
  directory: string,
  first: number,
  at: number,
  bytes: Buffer,
): Promise<void> {
  await writeFile(join(directory, damagedFolder, `${first}-${at}.bin`), bytes).catch(() => undefined);
}

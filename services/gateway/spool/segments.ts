import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { nextRecordAfter, readRecord } from './record.ts';

export interface Segment {
  /** Sequence of its first record; also its name. */
  readonly first: number;
  readonly path: string;
  /** Bytes of whole records. */
  bytes: number;
}

/** The files of a spool: the last one is written to, any may be read, the first ones are deleted. */
export interface Segments {
  /** Oldest first, never empty: the last one is active. */
  readonly list: readonly Segment[];
  /** Sequence of the next record to be appended. */
  readonly next: number;
  bytesTotal(): number;
  /** Appends whole records; throws, with nothing appended, when the disk does not take them. */
  write(records: Buffer): void;
  /** Begins a new segment whose first record will be `first`; with `synced` after the disk has the one before. */
  rotate(first: number, synced: boolean): void;
  sync(): Promise<void>;
  dropOldest(): Segment | null;
  close(): void;
}

const suffix = '.seg';
/** Where damaged bytes are put aside, for whoever wants to look. */
export const damagedFolder = 'damaged';

export interface OpenedSegments {
  readonly segments: Segments;
  /** Bytes of a record that was being written when the process died; its response had not left. */
  readonly tornBytes: number;
  /** Bytes at the end that are no beginning of a record; put aside. */
  readonly damagedBytes: number;
}

/** Opens the folder, cuts off what the last write left unfinished, and begins a new segment behind the last record. */
export function openSegments(directory: string, nextAtLeast: number): OpenedSegments {
  mkdirSync(join(directory, damagedFolder), { recursive: true });
  const list: Segment[] = readdirSync(directory)
    .filter((name) => name.endsWith(suffix))
    .toSorted()
    .map((name) => {
      const path = join(directory, name);
      return { first: Number(name.slice(0, -suffix.length)), path, bytes: statSync(path).size };
    });
  const last = list.at(-1);
  const tail = last === undefined ? null : cutTail(directory, last);
  const next = Math.max(1, nextAtLeast, last?.first ?? 1, (tail?.lastSequence ?? 0) + 1);
  const segments = createSegments(directory, list, next);
  return { segments, tornBytes: tail?.tornBytes ?? 0, damagedBytes: tail?.damagedBytes ?? 0 };
}

function createSegments(directory: string, list: Segment[], next: number): Segments {
  let active = begin(next);
  let retired: number | null = null;
  return {
    list,
    next,
    bytesTotal: () => list.reduce((sum, { bytes }) => sum + bytes, 0),
    write(records) {
      let written = 0;
      try {
        while (written < records.length) {
          written += writeSync(active.descriptor, records, written, records.length - written);
        }
      } catch (error) {
        // A part of it may stand there: without it the next records follow the last whole one.
        ftruncateSync(active.descriptor, active.segment.bytes);
        throw error;
      }
      active.segment.bytes += records.length;
    },
    rotate(first, synced) {
      if (synced) fdatasyncSync(active.descriptor);
      // A sync of the segment before may be under way: its descriptor stays open for as long as another segment lasts.
      if (retired !== null) closeSync(retired);
      retired = active.descriptor;
      active = begin(first);
    },
    sync: () =>
      new Promise((resolve, reject) => {
        fdatasync(active.descriptor, (error) => {
          if (error === null) resolve();
          else reject(error);
        });
      }),
    dropOldest() {
      const oldest = list.length > 1 ? list.shift() : undefined;
      if (oldest === undefined) return null;
      rmSync(oldest.path, { force: true });
      return oldest;
    },
    close() {
      if (retired !== null) closeSync(retired);
      closeSync(active.descriptor);
    },
  };

  function begin(first: number): { descriptor: number; segment: Segment } {
    const last = list.at(-1);
    const empty = last?.bytes === 0 ? last : undefined;
    if (empty !== undefined) {
      list.pop();
      rmSync(empty.path, { force: true });
    }
    const segment: Segment = { first, path: join(directory, nameOf(first)), bytes: 0 };
    // Appending, so that a write after a cut lands at the end of the file.
    const descriptor = openSync(segment.path, 'a');
    syncFolder(directory);
    list.push(segment);
    return { descriptor, segment };
  }
}

/** Zero-padded, so that names sort as numbers do. */
function nameOf(first: number): string {
  return `${String(first).padStart(16, '0')}${suffix}`;
}

/** A file's name survives a power cut only when its folder is on the disk. */
function syncFolder(directory: string): void {
  const descriptor = openSync(directory, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
}

function cutTail(
  directory: string,
  segment: Segment,
): { lastSequence: number; tornBytes: number; damagedBytes: number } {
  const bytes = readFileSync(segment.path);
  let lastSequence = segment.first - 1;
  let at = 0;
  let end = 0;
  while (at < bytes.length) {
    const outcome = readRecord(bytes, at);
    if (outcome.kind === 'record') {
      lastSequence = Math.max(lastSequence, outcome.record.sequence);
      at = end = outcome.end;
      continue;
    }
    // Damage in the middle stays where it is: the reader steps over it when it comes there.
    const next = nextRecordAfter(bytes, at);
    if (next === -1) break;
    at = next;
  }
  const tail = bytes.subarray(end);
  if (tail.length === 0) return { lastSequence, tornBytes: 0, damagedBytes: 0 };
  const torn = readRecord(bytes, end).kind === 'more' || tail.every((byte) => byte === 0);
  if (!torn) putAside(directory, segment.first, end, tail);
  truncateSync(segment.path, end);
  segment.bytes = end;
  return { lastSequence, tornBytes: torn ? tail.length : 0, damagedBytes: torn ? 0 : tail.length };
}

/** Keeps damaged bytes in a file named by where they stood. */
export function putAside(directory: string, first: number, at: number, bytes: Buffer): void {
  writeFileSync(join(directory, damagedFolder, `${first}-${at}.bin`), bytes);
}

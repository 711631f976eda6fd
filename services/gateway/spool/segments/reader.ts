import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { headerBytes, nextRecordAfter, readRecord } from './record.ts';
import type { SpoolRecord } from './record.ts';
import { saveDamagedBytes, lastIn } from './segments.ts';
import type { Segment, Segments } from './segments.ts';

export interface SpoolReader {
  /** Returns the next records after those of the last call; none if all records were read. */
  read(recordsMax: number, bytesMax: number): Promise<readonly SpoolRecord[]>;
  /** Number of written bytes that were not read yet. */
  unreadBytes(): number;
  /** Closes the file. The next read opens it again. */
  release(): Promise<void>;
}

export interface SpoolReaderOptions {
  readonly directory: string;
  readonly segments: Segments;
  /** First sequence number to read. Earlier records are skipped, because Kafka has them. */
  readonly from: number;
  readonly onDamaged: (bytes: number) => void;
  /** Called for a range of events that were on the disk and cannot be read. */
  readonly onLost: (first: number, last: number) => void;
  /**
   * Called when the file of a segment is missing. A check of the folder then determines whether the file was removed or
   * the folder is not mounted.
   */
  readonly onMissing: () => void;
}

/** Number of corrupt bytes that are read at a time to search for the next record; bounds memory. */
const searchBytes = 4 * 1024 * 1024;

/**
 * Reads the segments in order. Corrupt bytes are saved in `damaged/`, and reading continues with the next record, so that
 * one bad sector does not block the events after it. Missing sequence numbers are reported as lost.
 */
export function createSpoolReader(options: SpoolReaderOptions): SpoolReader {
  const { directory, segments, from, onDamaged } = options;
  let segment: Segment | null = segments.list.findLast(({ first }) => first <= from) ?? firstOf(segments);
  let at = 0;
  /** The next expected sequence number in the segment; null before its first record. */
  let expected: number | null = null;
  let file: FileHandle | null = null;

  return { read, unreadBytes, release };

  async function read(recordsMax: number, bytesMax: number): Promise<readonly SpoolRecord[]> {
    for (;;) {
      // The segment may have been dropped since the last read, because the spool is full or Kafka has its
      // events.
      if (segment === null || !segments.list.includes(segment)) await moveTo(firstOf(segments));
      const current = segment;
      if (current === null) return [];
      const records = await readSegment(current, recordsMax, bytesMax).catch((error: unknown) => {
        if (!segments.list.includes(current)) return [];
        if (!isMissing(error)) throw error;
        if (current.file !== 'removed') {
          current.file = 'missing';
          options.onMissing();
          throw error;
        }
        // Nothing more is written to a segment whose file was removed, so its unread events are lost.
        segments.forget(current);
        reportLost(current, lastIn(current));
        return [];
      });
      if (records.length > 0) return records;
      if (!segments.list.includes(current) || at < current.bytes) continue;
      const following = segments.list[segments.list.indexOf(current) + 1];
      if (following === undefined) return [];
      await moveTo(following);
    }
  }

  function unreadBytes(): number {
    const index = segment === null ? -1 : segments.list.indexOf(segment);
    const behind = segments.list.slice(index + 1).reduce((sum, { bytes }) => sum + bytes, 0);
    return behind + (segment === null || index === -1 ? 0 : Math.max(0, segment.bytes - at));
  }

  async function release(): Promise<void> {
    const before = file;
    file = null;
    await before?.close();
  }

  async function moveTo(target: Segment | null): Promise<void> {
    segment = target;
    at = 0;
    expected = null;
    await release();
  }

  function reportLost(current: Segment, last: number): void {
    const first = Math.max(expected ?? current.begins, from);
    if (first > last) return;
    expected = last + 1;
    options.onLost(first, last);
  }

  /**
   * Reads records of the segment from offset `at`. Returns none if the segment has no more records or only corrupt
   * bytes were read.
   */
  async function readSegment(current: Segment, recordsMax: number, bytesMax: number): Promise<SpoolRecord[]> {
    const length = Math.min(Math.max(bytesMax, headerBytes), current.bytes - at);
    const inMemory = segments.written.read(current, at, length);
    let chunk = inMemory ?? (await bytesAt(current, length));
    const records: SpoolRecord[] = [];
    let position = 0;
    while (position < chunk.length && records.length < recordsMax) {
      const outcome = readRecord(chunk, position, chunk === inMemory);
      if (outcome.kind === 'record') {
        const { sequence } = outcome.record;
        reportLost(current, sequence - 1);
        expected = sequence + 1;
        if (sequence >= from) records.push(outcome.record);
        position = outcome.end;
      } else if (outcome.kind === 'more' && at + position + outcome.bytes <= current.bytes) {
        // The record is longer than the remaining chunk. If the chunk begins with this record, a chunk of the
        // record's length is read.
        if (position > 0) break;
        chunk = await bytesAt(current, outcome.bytes);
      } else {
        position += await passDamage(current, position);
      }
    }
    at += position;
    // A loss at the end of the segment is reported at once, because the segment may be dropped before the
    // next read.
    if (current.own && at >= current.bytes) reportLost(current, current.last);
    return records;
  }

  /** Saves the corrupt bytes from `position` up to the next record, and returns their number. */
  async function passDamage(current: Segment, position: number): Promise<number> {
    let damaged = 0;
    while (at + position + damaged < current.bytes) {
      const chunk = await bytesAt(current, searchBytes, position + damaged);
      // No record begins at byte 0 of the first chunk, so the search starts at byte 1. In a later chunk it starts
      // at byte 0.
      const next = nextRecordAfter(chunk, damaged === 0 ? 0 : -1);
      const reachesEnd = at + position + damaged + chunk.length >= current.bytes;
      // A record may begin in this chunk and end in the next one, so half of the chunk is searched again.
      const passed = next !== -1 ? next : reachesEnd ? chunk.length : Math.ceil(chunk.length / 2);
      await saveDamagedBytes(directory, current.first, at + position + damaged, chunk.subarray(0, passed));
      damaged += passed;
      if (next !== -1) break;
    }
    onDamaged(damaged);
    return damaged;
  }

  async function bytesAt(current: Segment, length: number, offset = 0): Promise<Buffer> {
    const opened = (file ??= await open(current.path, 'r'));
    const wanted = Math.min(length, current.bytes - at - offset);
    const buffer = Buffer.allocUnsafe(Math.max(0, wanted));
    const { bytesRead } = await opened.read(buffer, 0, buffer.length, at + offset);
    // The file is shorter than expected: the segment's size is reduced, so that the reader does not wait for
    // the missing bytes.
    if (bytesRead < buffer.length) current.bytes = at + offset + bytesRead;
    return buffer.subarray(0, bytesRead);
  }
}

function firstOf(segments: Segments): Segment | null {
  return segments.list[0] ?? null;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

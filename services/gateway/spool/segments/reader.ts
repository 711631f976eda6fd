import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { headerBytes, nextRecordAfter, readRecord } from './record.ts';
import type { SpoolRecord } from './record.ts';
import { saveDamagedBytes, lastIn } from './segments.ts';
import type { Segment, Segments } from './segments.ts';

export interface SpoolReader {
  /** Reads on from where the last call ended; empty when everything written was read. */
  read(recordsMax: number, bytesMax: number): Promise<readonly SpoolRecord[]>;
  /** Bytes written and not read. */
  unreadBytes(): number;
  /** Closes its file; the next read opens it again. */
  release(): Promise<void>;
}

export interface SpoolReaderOptions {
  readonly directory: string;
  readonly segments: Segments;
  /** Records below are passed over: Kafka has them. */
  readonly from: number;
  readonly onDamaged: (bytes: number) => void;
  /** Events that were on the disk and cannot be read: all numbers from `first` to `last`. */
  readonly onLost: (first: number, last: number) => void;
  /** A file could not be found: a check of the folder shows whether it is gone, or the folder is out of reach. */
  readonly onMissing: () => void;
}

/** Damage is looked for in steps of this size, so that a long stretch of it does not fill the memory. */
const searchBytes = 4 * 1024 * 1024;

/**
 * Reads the segments in order. Where bytes are no record it looks for the next one, keeps what lies between in
 * `damaged/` and goes on: one bad sector never stops the events behind it. SequenceMarkFile that miss are reported.
 */
export function createSpoolReader(options: SpoolReaderOptions): SpoolReader {
  const { directory, segments, from, onDamaged } = options;
  let segment: Segment | null = segments.list.findLast(({ first }) => first <= from) ?? firstOf(segments);
  let at = 0;
  /** The next sequence of the segment; null before its first record. */
  let expected: number | null = null;
  let file: FileHandle | null = null;

  return { read, unreadBytes, release };

  async function read(recordsMax: number, bytesMax: number): Promise<readonly SpoolRecord[]> {
    for (;;) {
      // A segment that is full or sent is dropped, and it may be the one being read.
      if (segment === null || !segments.list.includes(segment)) await moveTo(firstOf(segments));
      const current = segment;
      if (current === null) return [];
      const records = await readSegment(current, recordsMax, bytesMax).catch((error: unknown) => {
        if (!segments.list.includes(current)) return [];
        if (!isMissing(error)) throw error;
        if (current.file !== 'gone') {
          current.file = 'missed';
          options.onMissing();
          throw error;
        }
        // Nothing is written to it any more: what was not read of it is lost.
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

  /** Some records of the segment from `at` on, at least one unless it is read to its end or only damage was passed. */
  async function readSegment(current: Segment, recordsMax: number, bytesMax: number): Promise<SpoolRecord[]> {
    let chunk = await bytesAt(current, Math.max(bytesMax, headerBytes));
    const records: SpoolRecord[] = [];
    let position = 0;
    while (position < chunk.length && records.length < recordsMax) {
      const outcome = readRecord(chunk, position);
      if (outcome.kind === 'record') {
        const { sequence } = outcome.record;
        reportLost(current, sequence - 1);
        expected = sequence + 1;
        if (sequence >= from) records.push(outcome.record);
        position = outcome.end;
      } else if (outcome.kind === 'more' && at + position + outcome.bytes <= current.bytes) {
        // The record goes on behind the chunk: hand out what is there, or fetch the whole of it when it is the first.
        if (position > 0) break;
        chunk = await bytesAt(current, outcome.bytes);
      } else {
        position += await passDamage(current, position);
      }
    }
    at += position;
    // At once: when Kafka has the events behind it, the segment goes without another read.
    if (current.own && at >= current.bytes) reportLost(current, current.last);
    return records;
  }

  /** How many bytes from `position` on belong to no record. */
  async function passDamage(current: Segment, position: number): Promise<number> {
    let damaged = 0;
    while (at + position + damaged < current.bytes) {
      const chunk = await bytesAt(current, searchBytes, position + damaged);
      // The first byte of all is known to begin no record; that of a later chunk may.
      const next = nextRecordAfter(chunk, damaged === 0 ? 0 : -1);
      const reachesEnd = at + position + damaged + chunk.length >= current.bytes;
      // A record may begin in this chunk and end in the next: half of it is looked at again.
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
    // The file was shortened: what is not there any more is not waited for.
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

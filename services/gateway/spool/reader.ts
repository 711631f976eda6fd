import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { headerBytes, nextRecordAfter, readRecord } from './record.ts';
import type { SpoolRecord } from './record.ts';
import { putAside } from './segments.ts';
import type { Segment, Segments } from './segments.ts';

export interface SpoolReader {
  /** Reads on from where the last call ended; empty when everything written was read. */
  read(recordsMax: number, bytesMax: number): Promise<readonly SpoolRecord[]>;
  /** Bytes written and not read. */
  unreadBytes(): number;
  close(): Promise<void>;
}

export interface SpoolReaderOptions {
  readonly directory: string;
  readonly segments: Segments;
  /** Records below are passed over: Kafka has them. */
  readonly from: number;
  readonly onDamaged: (bytes: number) => void;
}

/** Damage is looked for in steps of this size, so that a long stretch of it does not fill the memory. */
const searchBytes = 4 * 1024 * 1024;

/**
 * Reads the segments in order. Where bytes are no record it looks for the next one, puts what lies between aside and
 * goes on: one bad sector never stops the events behind it.
 */
export function createSpoolReader({ directory, segments, from, onDamaged }: SpoolReaderOptions): SpoolReader {
  let segment = segments.list.findLast(({ first }) => first <= from) ?? firstOf(segments);
  let at = 0;
  let file: FileHandle | null = null;

  return {
    async read(recordsMax, bytesMax) {
      for (;;) {
        // A full spool drops its oldest segment, which may be the one being read.
        if (!segments.list.includes(segment)) await moveTo(firstOf(segments));
        const records = await readSegment(recordsMax, bytesMax).catch((error: unknown) => {
          if (!segments.list.includes(segment)) return [];
          throw error;
        });
        if (records.length > 0) return records;
        if (at < segment.bytes || !segments.list.includes(segment)) continue;
        const following = segments.list[segments.list.indexOf(segment) + 1];
        if (following === undefined) return [];
        await moveTo(following);
      }
    },
    unreadBytes() {
      const index = segments.list.indexOf(segment);
      const behind = segments.list.slice(index + 1).reduce((sum, { bytes }) => sum + bytes, 0);
      return behind + (index === -1 ? 0 : segment.bytes - at);
    },
    close: async () => file?.close(),
  };

  async function moveTo(target: Segment): Promise<void> {
    const before = file;
    file = null;
    segment = target;
    at = 0;
    await before?.close();
  }

  /** Some records of the segment from `at` on, at least one unless it is read to its end or only damage was passed. */
  async function readSegment(recordsMax: number, bytesMax: number): Promise<SpoolRecord[]> {
    let chunk = await bytesAt(Math.max(bytesMax, headerBytes));
    const records: SpoolRecord[] = [];
    let position = 0;
    while (position < chunk.length && records.length < recordsMax) {
      const outcome = readRecord(chunk, position);
      if (outcome.kind === 'record') {
        if (outcome.record.sequence >= from) records.push(outcome.record);
        position = outcome.end;
      } else if (outcome.kind === 'more' && at + position + outcome.bytes <= segment.bytes) {
        // The record goes on behind the chunk: hand out what is there, or fetch the whole of it when it is the first.
        if (position > 0) break;
        chunk = await bytesAt(outcome.bytes);
      } else {
        position += await passDamage(position);
      }
    }
    at += position;
    return records;
  }

  /** How many bytes from `position` on belong to no record. */
  async function passDamage(position: number): Promise<number> {
    let damaged = 0;
    while (at + position + damaged < segment.bytes) {
      const chunk = await bytesAt(searchBytes, position + damaged);
      // The first byte of all is known to begin no record; that of a later chunk may.
      const next = nextRecordAfter(chunk, damaged === 0 ? 0 : -1);
      const reachesEnd = at + position + damaged + chunk.length >= segment.bytes;
      // A record may begin in this chunk and end in the next: half of it is looked at again.
      const passed = next !== -1 ? next : reachesEnd ? chunk.length : Math.ceil(chunk.length / 2);
      putAside(directory, segment.first, at + position + damaged, chunk.subarray(0, passed));
      damaged += passed;
      if (next !== -1) break;
    }
    onDamaged(damaged);
    return damaged;
  }

  async function bytesAt(length: number, offset = 0): Promise<Buffer> {
    file ??= await open(segment.path, 'r');
    const wanted = Math.min(length, segment.bytes - at - offset);
    const buffer = Buffer.allocUnsafe(Math.max(0, wanted));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at + offset);
    // Somebody shortened the file: what is not there any more is not waited for.
    if (bytesRead < buffer.length) segment.bytes = at + offset + bytesRead;
    return buffer.subarray(0, bytesRead);
  }
}

function firstOf(segments: Segments): Segment {
  const first = segments.list[0];
  if (first === undefined) throw new Error('A spool has at least its active segment');
  return first;
}

import { close, fdatasync, open, write } from 'node:fs';
import { open as openHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { Piece } from '../pending-events.ts';
import type { Segment } from './segments.ts';

/**
 * The segment to which events are written. After any error it is closed and never written to again, because it may end
 * with an incomplete record, and because a failed sync does not report which data was lost. Calls must not overlap. No
 * call blocks the event loop.
 */
export interface ActiveSegment {
  readonly segment: Segment;
  /** Writes all bytes of the piece, and then syncs them if `sync` is true. */
  write(piece: Piece, sync: boolean, done: (error: Error | null) => void): void;
  close(): Promise<void>;
}

const openFile = promisify(open);
const closeFile = promisify(close);

/** Creates the file, or truncates the file of a segment without a complete record. */
export async function createSegment(segment: Segment): Promise<ActiveSegment> {
  let descriptor = await openFile(segment.path, 'w');
  await syncFolder(dirname(segment.path)).catch(async (error: unknown) => {
    await closeFile(descriptor);
    throw error;
  });
  return {
    segment,
    write(piece, sync, done) {
      writeFrom(piece.from);

      function writeFrom(from: number): void {
        write(descriptor, piece.buffer, from, piece.to - from, null, (error, written) => {
          if (error !== null) done(error);
          else if (from + written < piece.to) writeFrom(from + written);
          else if (sync) fdatasync(descriptor, done);
          else done(null);
        });
      }
    },
    async close() {
      const closing = descriptor;
      // The handle is closed only once: the system may already use its descriptor number for another file.
      descriptor = -1;
      if (closing !== -1) await closeFile(closing);
    },
  };
}

/** Resolves with the segment when all bytes of the piece are written, and synced if `sync` is true. */
export function writePiece(active: ActiveSegment | null, piece: Piece, sync: boolean): Promise<Segment> {
  return new Promise((resolve, reject) => {
    if (active === null) reject(new Error('No segment is open'));
    else active.write(piece, sync, (error) => (error === null ? resolve(active.segment) : reject(error)));
  });
}

/** Syncs a folder. Without this, a new file in the folder may be lost in a power cut. */
export async function syncFolder(directory: string): Promise<void> {
  const handle = await openHandle(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

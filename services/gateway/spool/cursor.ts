import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';

/** The sequence of the first record that Kafka has not acknowledged, in a file of its own. */
export interface Cursor {
  /** As it was on opening; null when there is none that can be read: then everything in the spool is sent again. */
  readonly start: number | null;
  /** Losing this write costs a redelivery, never an event, so it is not synced to the disk. */
  write(sequence: number): void;
  close(): void;
}

const numberBytes = 8;
const fileBytes = numberBytes + 4;

export function openCursor(path: string): Cursor {
  const file = openSync(path, 'a+');
  closeSync(file);
  const start = parse(readFileSync(path));
  const descriptor = openSync(path, 'r+');
  ftruncateSync(descriptor, fileBytes);
  const bytes = Buffer.alloc(fileBytes);
  return {
    start,
    write(sequence) {
      bytes.writeDoubleLE(sequence, 0);
      bytes.writeUInt32LE(crc32(bytes.subarray(0, numberBytes)), numberBytes);
      writeSync(descriptor, bytes, 0, fileBytes, 0);
    },
    close: () => closeSync(descriptor),
  };
}

function parse(bytes: Buffer): number | null {
  if (bytes.length !== fileBytes) return null;
  if (crc32(bytes.subarray(0, numberBytes)) !== bytes.readUInt32LE(numberBytes)) return null;
  const sequence = bytes.readDoubleLE(0);
  return Number.isSafeInteger(sequence) && sequence > 0 ? sequence : null;
}

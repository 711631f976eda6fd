import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

/** The file with the sequence number of the first record that Kafka has not acknowledged. */
export interface Cursor {
  /**
   * The sequence number in the file when it was opened. Null if the file is missing or corrupt: then all records of the
   * spool are sent again.
   */
  readonly start: number | null;
  /** Writes the cursor without a sync. If a crash loses this write, events are sent again, and none is lost. */
  write(sequence: number): Promise<void>;
  close(): Promise<void>;
}

const numberBytes = 8;
const fileBytes = numberBytes + 4;

export async function openCursor(path: string): Promise<Cursor> {
  await (await open(path, 'a')).close();
  const handle = await open(path, 'r+');
  const content = await readAndResize(handle).catch(async (error: unknown) => {
    await handle.close();
    throw error;
  });
  const bytes = Buffer.alloc(fileBytes);
  return {
    start: parse(content),
    async write(sequence) {
      bytes.writeDoubleLE(sequence, 0);
      bytes.writeUInt32LE(crc32(bytes.subarray(0, numberBytes)), numberBytes);
      await handle.write(bytes, 0, fileBytes, 0);
    },
    close: () => handle.close(),
  };
}

async function readAndResize(handle: FileHandle): Promise<Buffer> {
  const content = await handle.readFile();
  if (content.length !== fileBytes) await handle.truncate(fileBytes);
  return content;
}

function parse(bytes: Buffer): number | null {
  if (bytes.length !== fileBytes) return null;
  if (crc32(bytes.subarray(0, numberBytes)) !== bytes.readUInt32LE(numberBytes)) return null;
  const sequence = bytes.readDoubleLE(0);
  return Number.isSafeInteger(sequence) && sequence > 0 ? sequence : null;
}

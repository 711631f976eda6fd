import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/** A small JSON value in a file of a fixed size that is written in place, so that a write also succeeds on a full disk. */
export interface InPlaceFile {
  readonly handle: FileHandle;
  /** True if this call created the file. */
  readonly isNew: boolean;
  /** Returns the parsed value, or undefined if the file contains no valid JSON. */
  read(): Promise<unknown>;
  write(value: object): Promise<void>;
}

const fileBytes = 512;

/** Opens the file, and creates it if it is missing. */
export async function openInPlace(path: string): Promise<InPlaceFile> {
  const created = await open(path, 'wx+').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return null;
    throw error;
  });
  const handle = created ?? (await open(path, 'r+'));
  const bytes = Buffer.alloc(fileBytes);
  return {
    handle,
    isNew: created !== null,
    async read() {
      const { bytesRead } = await handle.read(bytes, 0, fileBytes, 0);
      try {
        return JSON.parse(bytes.toString('utf8', 0, bytesRead)) as unknown;
      } catch {
        return undefined;
      }
    },
    async write(value) {
      bytes.fill(' ');
      bytes.write(JSON.stringify(value));
      await handle.write(bytes, 0, fileBytes, 0);
    },
  };
}

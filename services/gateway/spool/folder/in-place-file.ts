import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/**
 * A small JSON value in a file of a fixed size, written in place: where the file exists already, that needs no room on
 * the disk, so that it works on a disk that is full.
 */
export interface InPlaceFile {
  readonly handle: FileHandle;
  /** It was missing, and this call alone created it. */
  readonly isNew: boolean;
  /** Undefined where there is no value that can be read. */
  read(): Promise<unknown>;
  write(value: object): Promise<void>;
}

const fileBytes = 512;

/** Opens the file, and creates it where it is missing. */
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

import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Whether the data of an INSERT must be passed to the engine in a file. Otherwise the data follows the statement, and
 * there the engine treats a blank line as the end of the data: it drops the bytes after the blank line, or runs them
 * as SQL. Text formats contain no blank lines, but nearly every binary body does.
 */
export function needsFile(data: Buffer): boolean {
  return data.includes('\n\n') || data.includes('\n\r\n');
}

export interface FileHandover {
  /** Runs `work` with a statement that reads the data from a temporary file, then deletes the file. */
  through<Result>(prefix: string, data: Buffer, work: (sql: string) => Promise<Result>): Promise<Result>;
}

/** @param dir is emptied: its files are data of inserts that a killed server never acknowledged. */
export function createFileHandover(dir: string): FileHandover {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  return {
    async through(prefix, data, work) {
      const path = join(dir, randomUUID());
      try {
        await writeFile(path, data);
        return await work(fromFile(prefix, path));
      } finally {
        await rm(path, { force: true });
      }
    },
  };
}

/** `INSERT INTO t (a) SETTINGS x = 1 FORMAT F` → `INSERT INTO t (a) FROM INFILE '…' SETTINGS x = 1 FORMAT F` */
function fromFile(prefix: string, path: string): string {
  const tail = /\s(?:SETTINGS\s[^;]*\s)?(?:FORMAT\s+\w+|VALUES)\s*;?\s*$/i.exec(prefix);
  const at = tail?.index ?? prefix.length;
  const file = path.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
  const format = /\sVALUES\s*;?\s*$/i.test(prefix) ? ' FORMAT Values' : prefix.slice(at);
  return `${prefix.slice(0, at)} FROM INFILE '${file}' COMPRESSION 'none'${format}`;
}

import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSpoolRun, spoolRunName } from '../../../shared/domain/spool-run.ts';

/** The text of an event with the run and the number it got, as its first two attributes. */
export type Stamp = (event: object, sequence: number) => string;

/**
 * Names this opening of the folder. The folder's own name is made with it and kept in it: whoever loses the folder
 * loses the name too, and its numbers, which begin at 1 again, belong to another series.
 */
export function openStamp(directory: string, openedAtMs: number, first: number): Stamp {
  const run = spoolRunName({
    folder: folderName(join(directory, 'name')),
    openedAtMs,
    salt: random(2),
    first,
  });
  // In front, so that a dead letter that holds only the beginning of its event still tells which one it was.
  const head = `{"spool":"${run}","spoolsequence":`;
  return (event, sequence) => `${head}${sequence},${JSON.stringify(event).slice(1)}`;
}

function folderName(path: string): string {
  const known = readIfThere(path);
  if (readSpoolRun(`${known}.0.0.0`) !== null) return known;
  const name = random(6);
  // Renamed into place: a crash leaves no half a name.
  writeFileSync(`${path}.new`, name);
  renameSync(`${path}.new`, path);
  return name;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function random(bytes: number): string {
  return randomBytes(bytes).toString('hex');
}

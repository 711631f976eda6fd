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
export function openStamp(directory: string, nowMs: number, first: number): Stamp {
  const run = spoolRunName({
    folder: folderName(join(directory, 'name')),
    openedAtMs: openingTime(join(directory, 'opened'), nowMs),
    salt: random(2),
    first,
  });
  // In front, so that a dead letter that holds only the beginning of its event still tells which one it was.
  const head = `{"spool":"${run}","spoolsequence":`;
  return (event, sequence) => `${head}${sequence},${JSON.stringify(event).slice(1)}`;
}

/**
 * When the folder was opened, later than every opening before it, whatever the clock was set to since: the loss audit
 * orders openings by it. A copy of the folder that is opened again stays in its order too.
 */
function openingTime(path: string, nowMs: number): number {
  const beforeMs = Number(readIfThere(path));
  const openedAtMs = Number.isSafeInteger(beforeMs) && beforeMs >= nowMs ? beforeMs + 1 : nowMs;
  try {
    writeWhole(path, String(openedAtMs));
  } catch {
    // A full disk keeps no gateway from starting; the next opening then goes by the clock alone.
  }
  return openedAtMs;
}

function folderName(path: string): string {
  const known = readIfThere(path);
  if (readSpoolRun(`${known}.0.0.0`) !== null) return known;
  const name = random(6);
  writeWhole(path, name);
  return name;
}

/** Renamed into place: a crash leaves no half of it. */
function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
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

import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { RunStart } from './sequence-mark.ts';
import { syncFolder } from '../segments/active-segment.ts';
import { readSpoolRun, spoolRunName } from '../../../../shared/domain/spool-run.ts';

/** A name for a folder that has none, or that cannot be read. */
export function newFolderName(): string {
  return randomBytes(6).toString('hex');
}

/** Null for a folder without a name that can be read; throws when the disk does not answer. */
export async function readFolderName(directory: string): Promise<string | null> {
  const text = await readFile(nameFile(directory), 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  });
  return readSpoolRun(`${text}.0.0.0`) === null ? null : text;
}

/** Synced, so that a power cut leaves the folder its name. */
export async function writeFolderName(directory: string, name: string): Promise<void> {
  await writeWhole(nameFile(directory), name);
  // The folder may be new as well.
  await syncFolder(dirname(directory));
}

/**
 * When the folder is opened, later than every opening before it, whatever the clock was set to since: the loss audit
 * orders openings by it. A copy of the folder that is opened again stays in its order too.
 */
export async function openingTime(directory: string, nowMs: number): Promise<number> {
  const path = join(directory, 'opened');
  const beforeMs = Number(await readFile(path, 'utf8').catch(() => ''));
  const openedAtMs = Number.isSafeInteger(beforeMs) && beforeMs >= nowMs ? beforeMs + 1 : nowMs;
  // Where the disk takes nothing, the next opening goes by the clock alone.
  await writeWhole(path, String(openedAtMs)).catch(() => undefined);
  return openedAtMs;
}

/** Renamed into place: a crash leaves no half of it. */
async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { flush: true });
  await rename(`${path}.new`, path);
  await syncFolder(dirname(path));
}

function nameFile(directory: string): string {
  return join(directory, 'name');
}

/** The text of an event with the run and the number it got, as its first two attributes. */
export type EventEncoder = (event: object, sequence: number) => string;

/**
 * Names this run of the folder. The folder's own name is made with it and kept in it: whoever loses the folder loses
 * the name too, and its numbers, which begin at 1 again, belong to another series.
 */
export function createEventEncoder(
  folder: string,
  openedAtMs: number,
  { first, follows }: RunStart,
): EventEncoder {
  const run = spoolRunName({ folder, openedAtMs, salt: randomBytes(2).toString('hex'), first, follows });
  // In front, so that a dead letter that holds only the beginning of its event still tells which one it was.
  const head = `{"spool":"${run}","spoolsequence":`;
  return (event, sequence) => `${head}${sequence},${JSON.stringify(event).slice(1)}`;
}

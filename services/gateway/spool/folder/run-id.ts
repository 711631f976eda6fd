import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { RunStart } from './sequence-mark.ts';
import { syncFolder } from '../segments/active-segment.ts';
import { readSpoolRun, spoolRunName } from '../../../../shared/domain/spool-run.ts';

/** Returns a random name for a folder that has no valid name. */
export function newFolderName(): string {
  return randomBytes(6).toString('hex');
}

/** Reads the name of a folder. Returns null if it has no valid name; throws the error of the disk. */
export async function readFolderName(directory: string): Promise<string | null> {
  const text = await readFile(nameFile(directory), 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  });
  return readSpoolRun(`${text}.0.0.0`) === null ? null : text;
}

/** Writes the name and syncs it, so that it survives a power cut. */
export async function writeFolderName(directory: string, name: string): Promise<void> {
  await replaceFile(nameFile(directory), name);
  // The folder itself may be new and unsynced, so its parent is synced as well.
  await syncFolder(dirname(directory));
}

/**
 * Returns the time of this opening. It is later than the time of every earlier opening, even if the clock was set back,
 * because the loss audit sorts runs by it.
 */
export async function openingTime(directory: string, nowMs: number): Promise<number> {
  const path = join(directory, 'opened');
  const beforeMs = Number(await readFile(path, 'utf8').catch(() => ''));
  const openedAtMs = Number.isSafeInteger(beforeMs) && beforeMs >= nowMs ? beforeMs + 1 : nowMs;
  // If this write fails, the next opening cannot compare its time with this one and uses the clock alone.
  await replaceFile(path, String(openedAtMs)).catch(() => undefined);
  return openedAtMs;
}

/** Writes a file atomically by a rename: a crash leaves the old or the new content. */
async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { flush: true });
  await rename(`${path}.new`, path);
  await syncFolder(dirname(path));
}

function nameFile(directory: string): string {
  return join(directory, 'name');
}

/**
 * Returns the JSON text of an event that begins with the attributes `first`, the JSON text of attributes with a comma after each.
 */
export type EventText<Event> = (event: Event, first: string) => string;

/**
 * Returns the JSON text of an event, with the run id and the sequence number as its first two attributes. If `textOf` is absent,
 * `JSON.stringify` writes the event.
 */
export type EventEncoder = <Event extends object>(
  event: Event,
  sequence: number,
  textOf?: EventText<Event>,
) => string;

/**
 * Creates the function that encodes the events of a run. The run id contains the name of the folder, which is stored in
 * the folder itself: if the folder is lost, a new folder has another name, and its sequence numbers may begin at 1
 * again.
 */
export function createEventEncoder(
  folder: string,
  openedAtMs: number,
  { first, follows }: RunStart,
): EventEncoder {
  const run = spoolRunName({ folder, openedAtMs, salt: randomBytes(2).toString('hex'), first, follows });
  // Both attributes are at the beginning of the text, so that they identify the event in a dead letter that
  // was cut.
  const head = `"spool":"${run}","spoolsequence":`;
  return (event, sequence, textOf = jsonText) => textOf(event, `${head}${sequence},`);
}

/** The text that `JSON.stringify` returns, with the attributes `first` at its beginning. */
export function jsonText(event: object, first: string): string {
  return `{${first}${JSON.stringify(event).slice(1)}`;
}

import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncFolder } from './active-segment.ts';
import { readSpoolRun } from '../../../shared/domain/spool-run.ts';

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

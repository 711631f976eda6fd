import { mkdir, open, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { createSegment } from './segments/active-segment.ts';
import type { ActiveSegment } from './segments/active-segment.ts';
import { deviceOf, openFolder } from './folder/folder.ts';
import type { EarlierFolder, OpenFolder } from './folder/folder.ts';
import { newLockOwner } from './folder/lock.ts';
import { runStart } from './folder/sequence-mark.ts';
import type { SequenceMark, RunStart } from './folder/sequence-mark.ts';
import { newFolderName, openingTime } from './folder/run-id.ts';
import { damagedFolder, findSegments } from './segments/segments.ts';
import type { FoundSegments, Segment } from './segments/segments.ts';

/** What the folder held when it could be read for the first time. */
export interface FoundFolder extends FoundSegments {
  readonly name: string;
  /** Later than every opening before. */
  readonly openedAtMs: number;
  readonly start: RunStart;
  /** First sequence that Kafka has not acknowledged. */
  readonly unacknowledged: number;
}

/**
 * The folder and all its open files. Nothing is kept open after an error: `detach` closes everything, so that the file
 * system can be repaired, and `attach` opens it anew. Calls do not overlap, and none blocks the event loop.
 */
export interface Disk {
  /** The name of the folder, or the one it gets if it has none. */
  readonly name: () => string;
  readonly active: () => ActiveSegment | null;
  /** Opens and locks the folder; throws SPOOL_LOCKED when another process has it, else the error of the disk. */
  attach(): Promise<void>;
  /** Begins the segment whose first record will be `first`, and closes the one before. */
  begin(first: number): Promise<void>;
  /** Throws unless the disk takes a turn of events, so that a disk that is full does not pass for one that works. */
  probe(sync: boolean): Promise<void>;
  /** Closes all files. The active segment counts as far as whole pieces were written. */
  detach(): Promise<void>;
  /**
   * Throws when the folder is no longer this process's own or not at its path, the disk takes no write, or the file of
   * the active segment is missing. Decides which of the segments that a reader missed are gone.
   */
  checkOwnership(): Promise<void>;
  writeMark(mark: SequenceMark): Promise<void>;
  writeCursor(unacknowledged: number): Promise<void>;
  /** Resolves after `timeoutMs` in which nothing but the disk was waited for. */
  untilStalled(timeoutMs: number): Promise<null>;
  /** Releases the lock and closes all files. */
  close(): Promise<void>;
}

export function createDisk(
  directory: string,
  nowMs: () => number,
  onFound: (found: FoundFolder) => void,
): Disk {
  const owner = newLockOwner();
  let name = newFolderName();
  let folder: OpenFolder | null = null;
  let known: EarlierFolder | null = null;
  let found: FoundFolder | null = null;
  let active: ActiveSegment | null = null;
  /** An owner of the folder on another host may show that it lives. */
  let isAwaited = false;
  /** Segments behind whose last whole record a part of another may stand. */
  const untidy = new Set<Segment>();

  return {
    name: () => name,
    active: () => active,
    attach,
    begin,
    probe: (sync) => probe(join(directory, 'probe'), sync),
    detach,
    checkOwnership,
    writeMark: async (mark) => folder?.numbers.write(mark),
    writeCursor: async (unacknowledged) => folder?.cursor.write(unacknowledged),
    untilStalled,
    async close() {
      await folder?.lock.release().catch(() => undefined);
      await detach();
    },
  };

  function onOwnerAwaited(isNow: boolean): void {
    isAwaited = isNow;
  }

  async function untilStalled(timeoutMs: number): Promise<null> {
    do await new Promise((resolve) => setTimeout(resolve, timeoutMs).unref());
    while (isAwaited);
    return null;
  }

  async function attach(): Promise<void> {
    if (folder !== null) return checkOwnership();
    known ??= { name: null, device: await deviceOf(directory) };
    const opened = await openFolder(directory, { owner, nameIfNone: name, known, onOwnerAwaited });
    try {
      await mkdir(join(directory, damagedFolder)).catch(ignoreCode('EEXIST'));
      if (found === null) await readFolder(opened);
      known = { name: opened.name, device: opened.device };
      await tidy();
    } catch (error) {
      await opened.close();
      throw error;
    }
    folder = opened;
  }

  async function checkOwnership(): Promise<void> {
    if (folder === null) return;
    await folder.lock.renew();
    await found?.segments.checkMissing();
    // Nothing may be written to a segment that is gone: the reader gives it up.
    if (active !== null) await stat(active.segment.path);
  }

  async function readFolder({ cursor, mark, name: itsName }: OpenFolder): Promise<void> {
    const read = await findSegments(directory);
    const { segments } = read;
    const unacknowledged = cursor.start ?? 1;
    const above = Math.max(unacknowledged, segments.lastSequence + 1, 1);
    name = itsName;
    const openedAtMs = await openingTime(directory, nowMs());
    found = { ...read, name, openedAtMs, start: runStart(mark, above, nowMs()), unacknowledged };
    onFound(found);
  }

  async function tidy(): Promise<void> {
    for (const segment of untidy) {
      // One that is gone is found by the reader.
      await truncate(segment.path, segment.bytes).catch(ignoreCode('ENOENT'));
      untidy.delete(segment);
    }
  }

  async function begin(first: number): Promise<void> {
    if (found === null) throw new Error('The folder is not attached');
    const { segments } = found;
    const before = active;
    const segment = segments.make(first, true);
    const created = await createSegment(segment);
    for (const empty of segments.list.filter(({ bytes }) => bytes === 0)) segments.discard(empty);
    // In the list only as the active one: another that has no event would be free to go.
    segments.list.push(segment);
    active = created;
    await before?.close();
  }

  async function detach(): Promise<void> {
    const [closing, writing] = [folder, active];
    folder = null;
    active = null;
    if (writing !== null) untidy.add(writing.segment);
    await Promise.allSettled([writing?.close(), closing?.close()]);
  }
}

const probeBytes = 128 * 1024;

async function probe(path: string, sync: boolean): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await handle.writeFile(Buffer.alloc(probeBytes));
    if (sync) await handle.datasync();
  } finally {
    await handle.close();
    await rm(path, { force: true });
  }
}

function ignoreCode(code: string): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof Error && 'code' in error && error.code === code)) throw error;
  };
}

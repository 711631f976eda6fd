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

/** What the folder contained when it was read for the first time. */
export interface FoundFolder extends FoundSegments {
  readonly name: string;
  /** Time of this opening in Unix milliseconds; later than the time of every earlier opening. */
  readonly openedAtMs: number;
  readonly start: RunStart;
  /** The first sequence number that Kafka has not acknowledged. */
  readonly unacknowledged: number;
}

/**
 * The folder and all of its open files. After an error `detach` closes all files, so that the file system can be repaired,
 * and `attach` opens them again. Calls must not overlap. No call blocks the event loop.
 */
export interface Disk {
  /** Name of the folder. Before the folder is read, the name that would be written to a folder without a name. */
  readonly name: () => string;
  readonly active: () => ActiveSegment | null;
  /**
   * Opens and locks the folder. Throws SPOOL_LOCKED if another process has the lock, or the error that the disk
   * returned.
   */
  attach(): Promise<void>;
  /** Creates the segment whose first record will be `first`, and closes the previous one. */
  beginSegment(first: number): Promise<void>;
  /**
   * Writes and removes a test file. Throws if the disk cannot store the events of one event-loop iteration, for example
   * because it is full.
   */
  probe(sync: boolean): Promise<void>;
  /** Closes all files. Of the active segment, only the pieces that were written completely are kept. */
  detach(): Promise<void>;
  /**
   * Throws if another process owns the folder, the folder is not at its path, the disk fails, or the file of the active
   * segment is missing. For segments that a reader could not open, it also determines which of their files were
   * removed.
   */
  checkOwnership(): Promise<void>;
  writeMark(mark: SequenceMark): Promise<void>;
  writeCursor(unacknowledged: number): Promise<void>;
  /**
   * Resolves after `timeoutMs`. If this process then still waits for the owner of the lock on another host, resolves
   * after that wait.
   */
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
  let earlier: EarlierFolder | null = null;
  let found: FoundFolder | null = null;
  let active: ActiveSegment | null = null;
  /** True during the time in which an owner on another host may still renew its lock. */
  let isOwnerAwaited = false;
  /** Segments that may end with an incomplete record. */
  const uncut = new Set<Segment>();

  return {
    name: () => name,
    active: () => active,
    attach,
    beginSegment,
    probe: (sync) => probe(join(directory, 'probe'), sync),
    detach,
    checkOwnership,
    writeMark: async (mark) => folder?.markFile.write(mark),
    writeCursor: async (unacknowledged) => folder?.cursor.write(unacknowledged),
    untilStalled,
    async close() {
      await folder?.lock.release().catch(() => undefined);
      await detach();
    },
  };

  function onOwnerAwaited(isAwaited: boolean): void {
    isOwnerAwaited = isAwaited;
  }

  async function untilStalled(timeoutMs: number): Promise<null> {
    do await new Promise((resolve) => setTimeout(resolve, timeoutMs).unref());
    while (isOwnerAwaited);
    return null;
  }

  async function attach(): Promise<void> {
    if (folder !== null) return checkOwnership();
    earlier ??= { name: null, device: await deviceOf(directory) };
    const opened = await openFolder(directory, { owner, nameIfNone: name, earlier, onOwnerAwaited });
    try {
      await mkdir(join(directory, damagedFolder)).catch(ignoreCode('EEXIST'));
      if (found === null) await readFolder(opened);
      earlier = { name: opened.name, device: opened.device };
      await cutIncompleteRecords();
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
    // If the file of the active segment was removed, nothing more may be written to it, because the reader
    // drops this segment.
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

  async function cutIncompleteRecords(): Promise<void> {
    for (const segment of uncut) {
      // A missing file needs no truncation; the reader drops its segment.
      await truncate(segment.path, segment.bytes).catch(ignoreCode('ENOENT'));
      uncut.delete(segment);
    }
  }

  async function beginSegment(first: number): Promise<void> {
    if (found === null) throw new Error('The folder is not attached');
    const { segments } = found;
    const before = active;
    const segment = segments.newSegment(first, true);
    const created = await createSegment(segment);
    for (const empty of segments.list.filter(({ bytes }) => bytes === 0)) segments.discard(empty);
    // The segment is added to the list in the same step in which it becomes active, because a segment
    // without events that is not active may be removed.
    segments.list.push(segment);
    active = created;
    await before?.close();
  }

  async function detach(): Promise<void> {
    const [closing, writing] = [folder, active];
    folder = null;
    active = null;
    if (writing !== null) uncut.add(writing.segment);
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

import { execFile } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

/**
 * A small file system on which faults are caused for real. Mounting needs root. `tmpfs` fills and runs out
 * of inodes in milliseconds; `ext4` on a loop device has `errors=remount-ro` and can be frozen, and its image is sparse
 * on a tmpfs, so that its device can fail as well.
 */
export interface FaultDisk {
  /** A folder on it. */
  readonly path: string;
  readonly kind: 'tmpfs' | 'ext4';
  /** Causes the fault and resolves once it lasts. One at a time. */
  cause(fault: DiskFault): Promise<void>;
  /** Ends the fault. */
  recover(): Promise<void>;
  /** Ends the fault and unmounts. */
  dispose(): Promise<void>;
}

/**
 * - `full`: a file of another program takes all the room.
 * - `no inodes`: files of another program take all the inodes.
 * - `read-only`: ext4 reports an error and refuses all writes, also of open files; it is mounted again to recover, as
 *   an operator does, which takes as long as a process keeps a file open on it.
 * - `unmounted`: ext4 is unmounted lazily; files that are open go on for as long as they are open.
 * - `frozen`: every write waits, for as long as the fault lasts (ext4).
 * - `device failing`: the device refuses what was written before, so that a sync fails and ext4 turns read-only.
 */
export type DiskFault = 'full' | 'no inodes' | 'read-only' | 'unmounted' | 'frozen' | 'device failing';

/** The faults of each kind of disk, for runs that draw them at random. */
export const diskFaults: Readonly<Record<FaultDisk['kind'], readonly DiskFault[]>> = {
  tmpfs: ['full', 'no inodes'],
  ext4: ['full', 'no inodes', 'read-only', 'unmounted', 'frozen', 'device failing'],
};

const run = promisify(execFile);
const mebibyte = 1024 * 1024;

/** A tmpfs with room for `bytes` and for `inodes` files and folders. */
export async function mountTmpfs({ bytes = 8 * mebibyte, inodes = 200 } = {}): Promise<FaultDisk> {
  const base = mkdtempSync(join(tmpdir(), 'tollgate-disk-'));
  const mount = join(base, 'mount');
  mkdirSync(mount);
  await mountAs(['-t', 'tmpfs', '-o', `size=${bytes},nr_inodes=${inodes}`, 'tmpfs', mount]);
  return createDisk('tmpfs', { base, mount, store: null, image: null });
}

/** An ext4 on a loop device, whose image is sparse on a tmpfs that it alone uses. */
export async function mountExt4({ bytes = 16 * mebibyte, inodes = 128 } = {}): Promise<FaultDisk> {
  const base = mkdtempSync(join(tmpdir(), 'tollgate-disk-'));
  const [store, mount] = [join(base, 'store'), join(base, 'mount')];
  for (const folder of [store, mount]) mkdirSync(folder);
  await mountAs(['-t', 'tmpfs', '-o', `size=${bytes + 4 * mebibyte}`, 'tmpfs', store]);
  const image = join(store, 'image');
  await run('truncate', ['-s', String(bytes), image]);
  // No room is set aside for root, so that a full disk is full for everyone.
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', '-N', String(inodes), image]);
  await mountAs(['-o', 'loop,errors=remount-ro', image, mount]);
  const disk = createDisk('ext4', { base, mount, store, image });
  await run('sync', ['-f', mount]);
  return disk;
}

interface Places {
  readonly base: string;
  readonly mount: string;
  /** Of ext4 only: the tmpfs with the image, and the image. */
  readonly store: string | null;
  readonly image: string | null;
}

function createDisk(kind: FaultDisk['kind'], { base, mount, store, image }: Places): FaultDisk {
  const path = join(mount, 'own');
  mkdirSync(path);
  let heal: () => Promise<unknown> = () => Promise.resolve();
  return { path, kind, cause, recover, dispose };

  async function cause(fault: DiskFault): Promise<void> {
    await recover();
    const filling = join(mount, 'filling');
    const removal = (at: string) => () => rm(at, { recursive: true, force: true });
    // A file system that was repaired may have forgotten that it was removed.
    await removal(filling)();
    if (fault === 'full') {
      heal = removal(filling);
      fillWith(filling);
    } else if (fault === 'no inodes') {
      heal = removal(filling);
      takeInodes(filling);
    } else if (image === null || store === null) {
      throw new Error(`${kind} cannot be ${fault}`);
    } else if (fault === 'read-only') {
      heal = () => mountAgain(image, mount);
      await writeFile(`/sys/fs/ext4/${basename(await deviceOf(mount))}/trigger_fs_error`, 'a fault');
    } else if (fault === 'unmounted') {
      heal = () => mountAgain(image, mount);
      await unmount(mount);
    } else if (fault === 'frozen') {
      heal = () => run('fsfreeze', ['--unfreeze', mount]);
      await run('fsfreeze', ['--freeze', mount]);
    } else {
      const other = join(store, 'filling');
      heal = async () => {
        rmSync(other, { force: true });
        await mountAgain(image, mount);
      };
      // What the image holds already could be written again: blocks that are free give their room back first.
      await run('fstrim', [mount]);
      fillWith(other);
    }
  }

  async function recover(): Promise<void> {
    const healing = heal;
    heal = () => Promise.resolve();
    await healing();
  }

  async function dispose(): Promise<void> {
    await recover().catch(() => undefined);
    // Lazily, so that a file that a failed test left open does not keep the mount in place.
    for (const mounted of [mount, store]) if (mounted !== null) await unmount(mounted);
    rmSync(base, { recursive: true, force: true });
  }
}

async function mountAs(args: readonly string[]): Promise<void> {
  try {
    await run('mount', args);
  } catch (error) {
    throw new Error('These tests mount file systems of their own: run them as root.', { cause: error });
  }
}

async function unmount(mounted: string): Promise<void> {
  await run('umount', ['-l', mounted]).catch(() => undefined);
}

async function deviceOf(mount: string): Promise<string> {
  return (await run('findmnt', ['-no', 'SOURCE', mount])).stdout.trim();
}

const closedTimeoutMs = 10_000;

/** Unmounts, waits until the last file is closed, repairs and mounts again. */
async function mountAgain(image: string, mount: string): Promise<void> {
  await unmount(mount);
  const deadline = performance.now() + closedTimeoutMs;
  while ((await run('losetup', ['-j', image])).stdout !== '') {
    if (performance.now() > deadline) throw new Error('A file on the broken file system was kept open.');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  // It answers 1 when it repaired something.
  await run('e2fsck', ['-p', image]).catch(() => undefined);
  await mountAs(['-o', 'loop,errors=remount-ro', image, mount]);
}

function fillWith(path: string): void {
  const file = openSync(path, 'a');
  try {
    // Down to single bytes, so that not even a short record fits.
    for (let bytes = mebibyte; bytes >= 1;) {
      try {
        if (writeSync(file, Buffer.alloc(bytes)) < bytes) bytes = Math.floor(bytes / 2);
      } catch {
        bytes = Math.floor(bytes / 2);
      }
    }
  } finally {
    closeSync(file);
  }
}

function takeInodes(folder: string): void {
  try {
    mkdirSync(folder);
    for (let index = 0; ; index += 1) writeFileSync(join(folder, String(index)), '');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  }
}

import { execFile } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

/**
 * A small file system on which real faults are injected. Mounting needs root. A `tmpfs` fills and runs out of inodes in
 * milliseconds. An `ext4` on a loop device has `errors=remount-ro` and can be frozen; its image is a sparse file on a tmpfs,
 * so that its device can fail too.
 */
export interface FaultDisk {
  /** Path of a folder on the file system. */
  readonly path: string;
  readonly kind: 'tmpfs' | 'ext4';
  /** Injects the fault, and resolves when it is in effect. Ends the previous fault first. */
  inject(fault: DiskFault): Promise<void>;
  /** Ends the fault. */
  recover(): Promise<void>;
  /** Ends the fault and unmounts. */
  dispose(): Promise<void>;
}

/**
 * - `full`: a file of another program uses all space.
 * - `no inodes`: files of another program use all inodes.
 * - `read-only`: ext4 reports an error and rejects all writes, also to open files. To end the fault, the file system
 *   is mounted again, as by an operator, after every process has closed its files on it.
 * - `unmounted`: ext4 is unmounted lazily. Open files work until they are closed.
 * - `frozen`: every write hangs until the fault ends (ext4).
 * - `device failing`: the device rejects writes that ext4 had accepted, so that a sync fails and ext4 turns read-only.
 */
export type DiskFault = 'full' | 'no inodes' | 'read-only' | 'unmounted' | 'frozen' | 'device failing';

/** The faults that each kind of file system supports. */
export const diskFaults: Readonly<Record<FaultDisk['kind'], readonly DiskFault[]>> = {
  tmpfs: ['full', 'no inodes'],
  ext4: ['full', 'no inodes', 'read-only', 'unmounted', 'frozen', 'device failing'],
};

const run = promisify(execFile);
const mebibyte = 1024 * 1024;

/** Mounts a tmpfs with `bytes` of space and `inodes` inodes. */
export async function mountTmpfs({ bytes = 8 * mebibyte, inodes = 200 } = {}): Promise<FaultDisk> {
  const base = mkdtempSync(join(tmpdir(), 'tollgate-disk-'));
  const mount = join(base, 'mount');
  mkdirSync(mount);
  await mountAs(['-t', 'tmpfs', '-o', `size=${bytes},nr_inodes=${inodes}`, 'tmpfs', mount]);
  return createDisk('tmpfs', { base, mount, store: null, image: null });
}

/** Mounts an ext4 on a loop device, whose image is a sparse file on a separate tmpfs. */
export async function mountExt4({ bytes = 16 * mebibyte, inodes = 128 } = {}): Promise<FaultDisk> {
  const base = mkdtempSync(join(tmpdir(), 'tollgate-disk-'));
  const [store, mount] = [join(base, 'store'), join(base, 'mount')];
  for (const folder of [store, mount]) mkdirSync(folder);
  await mountAs(['-t', 'tmpfs', '-o', `size=${bytes + 4 * mebibyte}`, 'tmpfs', store]);
  const image = join(store, 'image');
  await run('truncate', ['-s', String(bytes), image]);
  // No space is reserved for root, so that the disk is also full for processes of root.
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', '-N', String(inodes), image]);
  await mountAs(['-o', 'loop,errors=remount-ro', image, mount]);
  const disk = createDisk('ext4', { base, mount, store, image });
  await run('sync', ['-f', mount]);
  return disk;
}

interface Paths {
  readonly base: string;
  readonly mount: string;
  /** For ext4 only: the mount point of the tmpfs that contains the image, and the path of the image. */
  readonly store: string | null;
  readonly image: string | null;
}

function createDisk(kind: FaultDisk['kind'], { base, mount, store, image }: Paths): FaultDisk {
  const path = join(mount, 'own');
  mkdirSync(path);
  let endFault: () => Promise<unknown> = () => Promise.resolve();
  return { path, kind, inject, recover, dispose };

  async function inject(fault: DiskFault): Promise<void> {
    await recover();
    const filling = join(mount, 'filling');
    const removal = (at: string) => () => rm(at, { recursive: true, force: true });
    // The repair of a file system may bring back a removed file.
    await removal(filling)();
    if (fault === 'full') {
      endFault = removal(filling);
      fillWith(filling);
    } else if (fault === 'no inodes') {
      endFault = removal(filling);
      useUpInodes(filling);
    } else if (image === null || store === null) {
      throw new Error(`${kind} cannot be ${fault}`);
    } else if (fault === 'read-only') {
      endFault = () => mountAgain(image, mount);
      await writeFile(`/sys/fs/ext4/${basename(await deviceOf(mount))}/trigger_fs_error`, 'a fault');
    } else if (fault === 'unmounted') {
      endFault = () => mountAgain(image, mount);
      await unmount(mount);
    } else if (fault === 'frozen') {
      endFault = () => run('fsfreeze', ['--unfreeze', mount]);
      await run('fsfreeze', ['--freeze', mount]);
    } else {
      const other = join(store, 'filling');
      endFault = async () => {
        rmSync(other, { force: true });
        await mountAgain(image, mount);
      };
      // First frees the unused blocks of the image, because writes to allocated blocks would still succeed.
      await run('fstrim', [mount]);
      fillWith(other);
    }
  }

  async function recover(): Promise<void> {
    const ending = endFault;
    endFault = () => Promise.resolve();
    await ending();
  }

  async function dispose(): Promise<void> {
    await recover().catch(() => undefined);
    // A lazy unmount also succeeds if a failed test left a file open.
    for (const mounted of [mount, store]) if (mounted !== null) await unmount(mounted);
    rmSync(base, { recursive: true, force: true });
  }
}

async function mountAs(args: readonly string[]): Promise<void> {
  try {
    await run('mount', args);
  } catch (error) {
    throw new Error('These tests mount file systems: run them as root.', { cause: error });
  }
}

async function unmount(mounted: string): Promise<void> {
  await run('umount', ['-l', mounted]).catch(() => undefined);
}

async function deviceOf(mount: string): Promise<string> {
  return (await run('findmnt', ['-no', 'SOURCE', mount])).stdout.trim();
}

const closedTimeoutMs = 10_000;

/** Unmounts the file system, waits until its last file is closed, repairs it and mounts it again. */
async function mountAgain(image: string, mount: string): Promise<void> {
  await unmount(mount);
  const deadline = performance.now() + closedTimeoutMs;
  while ((await run('losetup', ['-j', image])).stdout !== '') {
    if (performance.now() > deadline) throw new Error('A file on the broken file system was kept open.');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  // e2fsck exits with 1 after a repair.
  await run('e2fsck', ['-p', image]).catch(() => undefined);
  await mountAs(['-o', 'loop,errors=remount-ro', image, mount]);
}

function fillWith(path: string): void {
  const file = openSync(path, 'a');
  try {
    // Fills the space to the last byte, so that not even a short record fits.
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

function useUpInodes(folder: string): void {
  try {
    mkdirSync(folder);
    for (let index = 0; ; index += 1) writeFileSync(join(folder, String(index)), '');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  }
}

import { readFile, readdir, readlink } from 'node:fs/promises';

/**
 * Whether the process listens on the TCP port; false if the process has ended. Null if the operating system cannot be queried, because it is not
 * Linux or the process belongs to another user.
 */
export async function listensOn(pid: number, port: number): Promise<boolean | null> {
  const inodes = await listeningInodes(port);
  if (inodes === null) return null;
  const folder = `/proc/${pid}/fd`;
  const descriptors = await readdir(folder).catch((error: unknown) => error as NodeJS.ErrnoException);
  if (descriptors instanceof Error) return descriptors.code === 'ENOENT' ? false : null;
  const targets = await Promise.all(descriptors.map((name) => readlink(`${folder}/${name}`).catch(() => '')));
  return targets.some((target) => inodes.has(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? ''));
}

/** State LISTEN in the tables of the kernel. */
const listening = '0A';

/** Inodes of the sockets that listen on the port; null if the tables of the kernel cannot be read. */
async function listeningInodes(port: number): Promise<ReadonlySet<string> | null> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'utf8').catch(() => null)),
  );
  if (tables.every((table) => table === null)) return null;
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = tables.flatMap((table) => (table ?? '').split('\n').map((row) => row.trim().split(/\s+/)));
  return new Set(
    rows.flatMap(([, local, , state, , , , , , inode]) =>
      local?.endsWith(suffix) === true && state === listening && inode !== undefined ? [inode] : [],
    ),
  );
}

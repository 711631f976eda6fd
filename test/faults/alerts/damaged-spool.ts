import { randomUUID } from 'node:crypto';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** A batch of events with a total size of 500 kB. */
export function bulkyEvents(): object[] {
  return Array.from({ length: 500 }, () => ({
    specversion: '1.0',
    id: randomUUID(),
    source: 'bulky',
    type: 'bulky.v1',
    data: { note: 'x'.repeat(900) },
  }));
}

/** Overwrites 4 KiB in the last quarter of each segment. */
export async function damageSegments(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const { size } = await stat(path);
    if (size < 100_000) continue;
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(4_096, 0xff), 0, 4_096, Math.floor(size * 0.75));
    await file.close();
  }
}

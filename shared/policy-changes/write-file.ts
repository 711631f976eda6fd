import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, chmod, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Whether this process may replace the file: the file and its folder can be written. */
export async function isReplaceable(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK);
    await access(dirname(path), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Replaces a file at once: readers see the old text or the new one. The text is on the disk before the file has its name, so a
 * crash leaves the old file. Calls at the same time, also of other containers on the same volume, write to temporary files of their
 * own. `isUnchanged` is called directly before the file is replaced; if it returns false, the old file stays.
 */
export async function replaceFile(
  path: string,
  text: string,
  isUnchanged: () => Promise<boolean>,
): Promise<boolean> {
  const { mode } = await stat(path);
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await chmod(temporary, mode);
    if (!(await isUnchanged())) return false;
    await rename(temporary, path);
    return true;
  } finally {
    await rm(temporary, { force: true });
  }
}

import { watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Logger } from './logger.ts';

export interface FileWatch {
  /** Stops watching, and waits for a running `reload`. */
  close(): Promise<void>;
}

export interface WatchFileOptions {
  readonly logger: Logger;
  /** Interval at which the file is checked on file systems that send no change events. */
  readonly pollIntervalMs?: number;
}

/**
 * Calls `reload` once when the watch has started, because an edit between the first read of the caller and the start
 * sends no event, and then after the file was written or replaced; never twice at the same time. The directory is
 * watched instead of the file, because editors and configuration tools replace files by renaming. The file is also
 * polled, for file systems without change events. `reload` must not reject, and may find the file unchanged.
 */
export async function watchFile(
  path: string,
  reload: () => Promise<void>,
  { logger, pollIntervalMs = 2_000 }: WatchFileOptions,
): Promise<FileWatch> {
  let version = await versionOf(path);
  let reloading: Promise<void> = Promise.resolve();
  const scheduleReload = (): void => void (reloading = reloading.then(reload));
  const watcher = watchDirectory(path, scheduleReload, logger);
  const poll = setInterval(() => {
    void versionOf(path).then((current) => {
      if (current === version) return;
      version = current;
      scheduleReload();
    });
  }, pollIntervalMs).unref();
  scheduleReload();
  await reloading;
  return {
    close: async () => {
      watcher.close();
      clearInterval(poll);
      await reloading;
    },
  };
}

/** One edit can cause several events, so `changed` is called once, after a short time without further events. */
function watchDirectory(path: string, changed: () => void, logger: Logger): { close: () => void } {
  const settleMs = 50;
  let timer: NodeJS.Timeout | undefined;
  const close = (): void => clearTimeout(timer);
  try {
    const watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
      // On a mounted Kubernetes volume, the link `..data` beside the file is replaced, so events of this name also
      // count.
      if (name !== null && name !== basename(path) && !name.startsWith('..')) return;
      clearTimeout(timer);
      timer = setTimeout(changed, settleMs).unref();
    });
    watcher.on('error', (error) =>
      logger.warn({ err: error, path }, 'the directory of the file is no longer watched; polling continues'),
    );
    return {
      close: () => {
        close();
        watcher.close();
      },
    };
  } catch (error) {
    logger.warn({ err: error, path }, 'the directory of the file cannot be watched; polling');
    return { close };
  }
}

/** Value that changes when the file is written or replaced; empty if the file is missing. */
async function versionOf(path: string): Promise<string> {
  try {
    const { mtimeMs, ino, size } = await stat(path);
    return `${mtimeMs}.${ino}.${size}`;
  } catch {
    return '';
  }
}

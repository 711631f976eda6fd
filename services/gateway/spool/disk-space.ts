import { statfs } from 'node:fs/promises';
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';

const intervalMsDefault = 15_000;

/**
 * Exports the space of the file system of the spool. It is read at an interval and not at a scrape, so that a disk that
 * hangs delays no scrape. While it cannot be read, the series are absent.
 */
export function exportDiskSpace(
  directory: string,
  { registry, intervalMs = intervalMsDefault }: { readonly registry: Registry; readonly intervalMs?: number },
): { close(): void } {
  let latest: { freeBytes: number; bytes: number } | null = null;
  const gauge = (name: string, help: string, of: (space: NonNullable<typeof latest>) => number): void => {
    new Gauge({
      ...{ name, help, registers: [registry] },
      collect() {
        this.reset();
        if (latest === null) this.remove();
        else this.set(of(latest));
      },
    });
  };
  gauge(
    'tollgate_spool_disk_free_bytes',
    'Bytes that the gateway can still write to the file system of its spool.',
    ({ freeBytes }) => freeBytes,
  );
  gauge('tollgate_spool_disk_bytes', 'Size of the file system of the spool.', ({ bytes }) => bytes);
  let isReading = false;
  const timer = setInterval(poll, intervalMs);
  timer.unref();
  poll();
  return { close: () => clearInterval(timer) };

  function poll(): void {
    if (isReading) return;
    isReading = true;
    statfs(directory)
      .then(
        ({ bavail, blocks, bsize }) => (latest = { freeBytes: bavail * bsize, bytes: blocks * bsize }),
        () => (latest = null),
      )
      .finally(() => (isReading = false));
  }
}

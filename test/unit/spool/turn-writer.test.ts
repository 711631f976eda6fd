import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test, vi } from 'vitest';
import { openSegments } from '../../../services/gateway/spool/segments.ts';
import type { Segments } from '../../../services/gateway/spool/segments.ts';
import { spoolMetrics } from '../../../services/gateway/spool/metrics.ts';
import { createTurnWriter } from '../../../services/gateway/spool/turn-writer.ts';
import { metricOf, newFolder, removeFolder } from './folder.ts';

/** Segments on a disk that takes nothing while `full`. */
function writerOn(
  disk: { full: boolean; written: number },
  { segments: given = null, sync = false }: { segments?: Segments | null; sync?: boolean } = {},
) {
  const registry = new Registry();
  const segments = given ?? {
    list: [],
    next: 1,
    bytesTotal: () => disk.written,
    write(records: Buffer) {
      if (disk.full) throw new Error('ENOSPC: no space left on device');
      disk.written += records.length;
    },
    rotate: () => undefined,
    sync: () => Promise.resolve(),
    dropOldest: () => null,
    close: () => undefined,
  };
  const writer = createTurnWriter({
    segments,
    segmentBytes: 1_000_000,
    bytesMax: 1_000_000_000,
    sync,
    clock: { now: () => 1 },
    metrics: spoolMetrics(registry, { bytes: () => 0, oldestAgeSeconds: () => 0 }),
    logger: pino({ level: 'silent' }),
    onWritten: () => undefined,
  });
  return { writer, registry };
}

test('a disk that takes nothing holds up no request, and gets the events when it takes some again', async () => {
  const disk = { full: true, written: 0 };
  const { writer, registry } = writerOn(disk);
  writer.append('acme', 'one');
  await writer.flushed();
  writer.append('acme', 'two');
  await writer.flushed();
  expect(disk.written).toBe(0);
  disk.full = false;
  await vi.waitFor(() => expect(disk.written).toBe(2 * (24 + 2 + 4 + 3)));
  expect(await metricOf(registry, 'tollgate_spool_write_failures_total')).toBeGreaterThanOrEqual(2);
  expect(await metricOf(registry, 'tollgate_spool_dropped_total')).toBe(0);
});

test('what waits in memory for a full disk is bounded, and what is lost is counted', async () => {
  const { writer, registry } = writerOn({ full: true, written: 0 });
  const value = 'x'.repeat(1_000_000);
  for (let index = 0; index < 90; index += 1) writer.append('acme', value);
  await writer.flushed();
  expect(await metricOf(registry, 'tollgate_spool_dropped_total')).toBeGreaterThan(0);
  writer.close();
});

test('with sync no response may leave before a sync of the file that began after its write has ended', async () => {
  const directory = newFolder();
  const { segments } = openSegments(directory, 1);
  const syncs: { bytesAtStart: number; end: () => Promise<void> }[] = [];
  const path = join(
    directory,
    readdirSync(directory).find((name) => name.endsWith('.seg'))!,
  );
  const slow = {
    ...segments,
    sync: () =>
      new Promise<void>((resolve, reject) => {
        const end = (): Promise<void> => segments.sync().then(resolve, reject);
        syncs.push({ bytesAtStart: statSync(path).size, end });
      }),
  };
  const { writer } = writerOn({ full: false, written: 0 }, { segments: slow, sync: true });
  const left: string[] = [];
  const respond = (name: string): void => {
    writer.append('acme', name);
    void writer.flushed().then(() => left.push(name));
  };
  respond('one');
  respond('two');
  await vi.waitFor(() => expect(syncs).toHaveLength(1));
  const written = statSync(path).size;
  expect(written).toBeGreaterThan(0);
  expect(syncs[0]!.bytesAtStart).toBe(written);
  respond('three');
  await vi.waitFor(() => expect(statSync(path).size).toBeGreaterThan(written));
  expect(left).toEqual([]);
  await syncs[0]!.end();
  await vi.waitFor(() => expect(syncs).toHaveLength(2));
  expect(left).toEqual(['one', 'two']);
  expect(syncs[1]!.bytesAtStart).toBe(statSync(path).size);
  await syncs[1]!.end();
  await vi.waitFor(() => expect(left).toEqual(['one', 'two', 'three']));
  writer.close();
  segments.close();
  removeFolder(directory);
});

import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test, vi } from 'vitest';
import { spoolMetrics } from '../../../services/gateway/spool/metrics.ts';
import { createTurnWriter } from '../../../services/gateway/spool/turn-writer.ts';
import { metricOf } from './folder.ts';

/** Segments on a disk that takes nothing while `full`. */
function writerOn(disk: { full: boolean; written: number }) {
  const registry = new Registry();
  const segments = {
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
    sync: false,
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

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { eventOf, metricOf, newFolder, openIn, readAll, removeFolder, segmentPaths } from './folder.ts';

let directory: string;
beforeEach(() => {
  directory = newFolder();
});
afterEach(() => {
  removeFolder(directory);
});

test('all durable events survive a SIGKILL of the process, and its lock can be taken over', async () => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'appender.ts'), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let durable = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    durable = Number(line);
    if (durable >= 5_000 && child.exitCode === null) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  const { spool } = await openIn(directory);
  const found = await readAll(spool);
  expect(found.length).toBeGreaterThanOrEqual(durable);
  expect(found.map(({ sequence }) => sequence)).toEqual(found.map((_, index) => index + 1));
  await spool.close();
});

test('only one process can open a folder at a time', async () => {
  const { spool } = await openIn(directory);
  await expect(openIn(directory)).rejects.toMatchObject({ code: 'SPOOL_LOCKED' });
  await spool.close();
  const { spool: next } = await openIn(directory);
  await next.close();
});

test('a lock whose process id was reused by another process is stale', async () => {
  const stale = { pid: process.pid, startTicks: '1', host: hostname(), token: 'x' };
  writeFileSync(join(directory, 'lock'), JSON.stringify(stale));
  const { spool } = await openIn(directory);
  await spool.close();
});

test('all appends of an event-loop iteration share one write', async () => {
  const { spool, registry } = await openIn(directory);
  for (let index = 0; index < 100; index += 1) spool.append(eventOf('acme', 'x'));
  await Promise.all(Array.from({ length: 100 }, () => spool.flushed()));
  expect(await registry.metrics()).toContain('tollgate_spool_write_seconds_count 1\n');
  await spool.close();
});

test('an event that was just written is sent from memory, even if its file is corrupt', async () => {
  const { spool } = await openIn(directory);
  spool.append(eventOf('acme', 'first'));
  await spool.flushed();
  expect((await readAll(spool)).map(({ payload }) => payload)).toEqual(['first']);
  spool.append(eventOf('acme', 'second'));
  await spool.flushed();
  for (const path of segmentPaths(directory))
    writeFileSync(path, Buffer.alloc(statSync(path).size), { flag: 'r+' });
  expect((await readAll(spool)).map(({ payload }) => payload)).toEqual(['second']);
  await spool.close();
});

test('with durability "power", flushed resolves for every append, across segments', async () => {
  const { spool } = await openIn(directory, { durability: 'power', segmentBytes: 2_000 });
  const flushes = Array.from({ length: 30 }, async (_, index) => {
    spool.append(eventOf('acme', 'x'.repeat(index * 10)));
    await spool.flushed();
  });
  await Promise.all(flushes);
  for (let index = 0; index < 30; index += 1) {
    spool.append(eventOf('acme', 'y'));
    await spool.flushed();
  }
  expect(await readAll(spool)).toHaveLength(60);
  await spool.close();
});

test('a full spool drops its oldest events, counts each of them, and stores new ones', async () => {
  const { spool, registry } = await openIn(directory, { bytesMax: 20_000, segmentBytes: 2_000 });
  for (let index = 0; index < 300; index += 1) {
    spool.append(eventOf('acme', 'x'.repeat(100)));
    if (index % 5 === 0) await spool.flushed();
  }
  await spool.flushed();
  const kept = await readAll(spool);
  expect(kept.at(-1)?.sequence).toBe(300);
  expect(await metricOf(registry, 'tollgate_spool_dropped_total')).toBe(300 - kept.length);
  expect(await metricOf(registry, 'tollgate_spool_bytes')).toBeLessThanOrEqual(20_000);
  expect(kept.map(({ sequence }) => sequence)).toEqual(kept.map((_, index) => 301 - kept.length + index));
  await spool.close();
});

test('a sender whose segment is dropped continues with the oldest segment that remains', async () => {
  const { spool } = await openIn(directory, { bytesMax: 20_000, segmentBytes: 2_000 });
  for (let index = 0; index < 20; index += 1) spool.append(eventOf('acme', 'x'.repeat(100)));
  await spool.flushed();
  const [oldest] = await spool.readBatch(1, 500);
  expect(oldest?.sequence).toBe(1);
  for (let index = 0; index < 300; index += 1) {
    spool.append(eventOf('acme', 'x'.repeat(100)));
    if (index % 5 === 0) await spool.flushed();
  }
  await spool.flushed();
  const remaining = await readAll(spool);
  const first = 321 - remaining.length;
  expect(remaining.map(({ sequence }) => sequence)).toEqual(remaining.map((_, index) => first + index));
  await spool.close();
});

test('acknowledged segments are removed, and the age of the oldest event becomes zero', async () => {
  let nowMs = 1_795_248_983_000;
  const { spool, registry } = await openIn(directory, { segmentBytes: 2_000, clock: { now: () => nowMs } });
  for (let index = 0; index < 60; index += 1) {
    spool.append(eventOf('acme', 'x'.repeat(100)));
    await spool.flushed();
  }
  await spool.flushed();
  const before = segmentPaths(directory).length;
  await readAll(spool);
  nowMs += 5_000;
  expect(await metricOf(registry, 'tollgate_spool_oldest_age_seconds')).toBe(5);
  spool.acknowledge(60);
  expect(await metricOf(registry, 'tollgate_spool_oldest_age_seconds')).toBe(0);
  expect(before).toBeGreaterThan(1);
  await vi.waitFor(() => expect(segmentPaths(directory)).toHaveLength(1), { timeout: 20_000 });
  await spool.close();
});

test('an event that cannot be built uses no sequence number', async () => {
  const { spool } = await openIn(directory);
  expect(() =>
    spool.append(() => {
      throw new Error('no event');
    }),
  ).toThrow('no event');
  expect(spool.append(eventOf('acme', 'x'))).toBe(1);
  await spool.close();
});

test('an event that is larger than the sender’s batch is returned completely', async () => {
  const { spool } = await openIn(directory);
  const giant = 'ü'.repeat(3_000_000);
  for (const payload of ['small', giant, 'small again']) spool.append(eventOf('acme', payload));
  await spool.flushed();
  expect((await readAll(spool)).map(({ payload }) => payload)).toEqual(['small', giant, 'small again']);
  await spool.close();
});

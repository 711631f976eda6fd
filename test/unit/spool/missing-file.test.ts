// Goal: every event that is lost with a missing or truncated file of the spool is counted. Method: remove, truncate or
// move files between two defined steps of the spool.
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openFolder } from '../../../services/gateway/spool/folder/folder.ts';
import { newLockOwner } from '../../../services/gateway/spool/folder/lock.ts';
import { createSpoolReader } from '../../../services/gateway/spool/segments/reader.ts';
import { Segments } from '../../../services/gateway/spool/segments/segments.ts';
import type { Spool } from '../../../services/gateway/spool/spool.ts';
import { eventOf, metricOf, newFolder, openIn, removeFolder, segmentPaths } from './folder.ts';

const soon = { timeout: 20_000 };

let directory: string;
beforeEach(() => {
  directory = newFolder();
});
afterEach(() => {
  removeFolder(directory);
});

async function appendFlushed(spool: Spool, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    spool.append(eventOf('acme', 'x'));
    await spool.flushed();
  }
}

test('all events of a segment that is removed while it is active are counted, and later events arrive', async () => {
  const { spool, registry } = await openIn(directory);
  const received = new Set<number>();
  const receive = async (): Promise<void> => {
    // A read fails while the file is missing, and the sender retries.
    for (const { sequence } of await spool.readBatch(50, 20_000).catch(() => [])) {
      received.add(sequence);
      spool.acknowledge(sequence);
    }
  };
  await appendFlushed(spool, 5);
  for (const path of segmentPaths(directory)) rmSync(path);
  await receive();
  // These events are also written to the removed file, until the spool checks its folder.
  await appendFlushed(spool, 40);
  await vi.waitFor(async () => {
    await appendFlushed(spool, 1);
    await receive();
    expect(received.size).toBeGreaterThan(0);
    expect(spool.diskFailure()).toBeNull();
  }, soon);
  const appended = await metricOf(registry, 'tollgate_spool_appended_total');
  await vi.waitFor(async () => {
    await receive();
    expect(received.has(appended)).toBe(true);
  }, soon);
  expect(await metricOf(registry, 'tollgate_spool_dropped_total')).toBe(appended - received.size);
  await spool.close();
});

test('the events of a truncated segment are reported as lost when the reader reaches its end', async () => {
  const { spool } = await openIn(directory);
  await appendFlushed(spool, 10);
  await spool.close();
  const [path] = segmentPaths(directory);
  const segments = new Segments(directory);
  const segment = segments.newSegment(1, true);
  expect(segment.path).toBe(path);
  Object.assign(segment, { bytes: statSync(segment.path).size, last: 10 });
  segments.list.push(segment);
  truncateSync(segment.path, Math.floor(segment.bytes / 2));
  const lost: number[][] = [];
  const reader = createSpoolReader({
    directory,
    segments,
    from: 1,
    onDamaged: () => undefined,
    onLost: (first, last) => lost.push([first, last]),
    onMissing: () => undefined,
  });
  const records = await reader.read(50, 20_000);
  expect(records.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5]);
  // The sender continues with the events in memory, and its acknowledgement drops the segment.
  segments.dropOldest();
  expect(await reader.read(50, 20_000)).toEqual([]);
  expect(lost).toEqual([[6, 10]]);
  await reader.release();
});

test('a folder that disappears while it is opened is not created again', async () => {
  const { spool } = await openIn(directory);
  await spool.close();
  const path = join(directory, 'name');
  const name = readFileSync(path, 'utf8');
  const away = `${directory}-away`;
  // Reading the name blocks until the pipe is written to. Meanwhile the folder is moved, as by `umount`.
  rmSync(path);
  execFileSync('mkfifo', [path]);
  const opening = openFolder(directory, {
    owner: newLockOwner(),
    nameIfNone: 'other',
    earlier: { name, device: statSync(directory).dev },
    onOwnerAwaited: () => undefined,
  });
  const outcome = expect(opening).rejects.toMatchObject({ code: 'ENOENT' });
  const pipe = await open(path, 'w');
  renameSync(directory, away);
  await pipe.writeFile(name);
  await pipe.close();
  await outcome;
  expect(existsSync(directory)).toBe(false);
  removeFolder(away);
});

test('the sender is called when the disk works again, even without a new event', async () => {
  const { spool } = await openIn(directory);
  await appendFlushed(spool, 5);
  const lock = join(directory, 'lock');
  rmSync(lock);
  mkdirSync(lock);
  await vi.waitFor(() => expect(spool.diskFailure()).not.toBeNull(), soon);
  let calls = 0;
  spool.onAvailable(() => (calls += 1));
  rmdirSync(lock);
  await vi.waitFor(() => expect(spool.diskFailure()).toBeNull(), soon);
  expect(calls).toBeGreaterThan(0);
  await spool.close();
});

test('a removed segment costs only its own events, and the spool continues without a failed call', async () => {
  const { spool, registry } = await openIn(directory, { segmentBytes: 2_000 });
  await appendFlushed(spool, 60);
  const [, second] = segmentPaths(directory);
  expect(second).toBeDefined();
  const numbers = readFileSync(second ?? '')
    .toString()
    .match(/"event-\d+"/g)?.length;
  rmSync(second ?? '');
  const received = new Set<number>();
  await vi.waitFor(async () => {
    for (const { sequence } of await spool.readBatch(50, 20_000)) received.add(sequence);
    expect(received.has(60)).toBe(true);
  }, soon);
  expect(received.size).toBe(60 - (numbers ?? 0));
  expect(await metricOf(registry, 'tollgate_spool_dropped_total')).toBe(numbers);
  expect(await metricOf(registry, 'tollgate_spool_write_failures_total')).toBe(0);
  await spool.close();
});

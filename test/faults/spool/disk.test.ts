// Goal: when the spool's disk fails, every lost event is counted as lost, no response is delayed for long,
// and the spool works normally after the fault ends. Method: a spool under traffic on a separate small file system, on
// which each real fault is injected and ended.
import { rmSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { metricOf } from '../../unit/spool/folder.ts';
import { diskFaults, mountExt4, mountTmpfs } from '../disk.ts';
import type { DiskFault, FaultDisk } from '../disk.ts';
import { missingForAudit, unreceived, createKafka, startNode } from './node.ts';
import type { NodeOptions, SpoolNode } from './node.ts';

const disks: FaultDisk[] = [];
const nodes: SpoolNode[] = [];
afterEach(async () => {
  for (const disk of disks) await disk.recover().catch(() => undefined);
  for (const node of nodes.splice(0)) await node.stop();
  for (const disk of disks.splice(0)) await disk.dispose();
});

const mounts = { tmpfs: mountTmpfs, ext4: mountExt4 };
const soon = { timeout: 30_000, interval: 20 };

async function mounted(kind: FaultDisk['kind'] = 'tmpfs', bytes?: number): Promise<FaultDisk> {
  const disk = await mounts[kind](bytes === undefined ? {} : { bytes });
  disks.push(disk);
  return disk;
}

async function nodeOn(disk: FaultDisk, options: NodeOptions = {}): Promise<SpoolNode> {
  const node = await startNode(disk.path, options);
  nodes.push(node);
  return node;
}

const untilMoreResponses = async (node: SpoolNode, count = 200): Promise<void> => {
  const target = node.responded.size + count;
  await vi.waitFor(() => expect(node.responded.size).toBeGreaterThan(target), soon);
};
const untilHealthy = (node: SpoolNode): Promise<void> =>
  vi.waitFor(() => expect(node.spool.diskFailure()).toBeNull(), soon);
const untilDiskFails = (node: SpoolNode): Promise<void> =>
  vi.waitFor(() => expect(node.spool.diskFailure()).not.toBeNull(), soon);
const untilAllReceived = (node: SpoolNode): Promise<void> =>
  vi.waitFor(() => expect(unreceived(node)).toHaveLength(0), soon);
const lost = (node: SpoolNode): Promise<number> => metricOf(node.registry, 'tollgate_spool_dropped_total');

const cases = (['tmpfs', 'ext4'] as const).flatMap((kind) =>
  diskFaults[kind].map((fault) => [kind, fault] as const),
);
/** For the fault `no inodes` segments are small, because only the creation of a new segment needs an inode. */
const segmentBytesFor = (fault: DiskFault): number => (fault === 'no inodes' ? 20_000 : 100_000);

test.each(cases)(
  'on %s, %s: responses are sent, events reach Kafka from memory, and the disk is used again after the fault',
  async (kind, fault) => {
    const disk = await mounted(kind);
    const durability = fault === 'device failing' ? 'power' : 'process';
    const node = await nodeOn(disk, { segmentBytes: segmentBytesFor(fault), durability });
    await untilMoreResponses(node);
    node.slowestMs();
    // Kafka is down for the fault `no inodes`, because otherwise the removal of a sent segment would free an inode.
    node.kafka.isDown = fault === 'no inodes';
    await disk.inject(fault);
    await untilDiskFails(node);
    node.kafka.isDown = false;
    await untilMoreResponses(node);
    expect(node.slowestMs()).toBeLessThan(2_000);
    await vi.waitFor(
      () => expect([...node.responded].at(-200)).toSatisfy((n) => !unreceived(node).includes(n as number)),
      soon,
    );
    await disk.recover();
    await untilHealthy(node);
    await untilMoreResponses(node);
    await node.stopTraffic();
    // A failing device may lose writes that it confirmed. Their events must be counted as lost.
    await vi.waitFor(async () => expect(unreceived(node)).toHaveLength(await lost(node)), soon);
    if (fault !== 'device failing') expect(await lost(node)).toBe(0);
    expect(missingForAudit(node.kafka)).toBe(await lost(node));
  },
);

test('a stop on a full disk sends the events in memory to Kafka, and the next run repeats no sequence number', async () => {
  const disk = await mounted();
  const kafka = createKafka();
  const node = await nodeOn(disk, { kafka });
  await untilMoreResponses(node);
  await disk.inject('full');
  await untilDiskFails(node);
  await untilMoreResponses(node);
  await node.stop();
  expect(unreceived(node)).toHaveLength(0);
  await disk.recover();
  const next = await nodeOn(disk, { kafka });
  await untilMoreResponses(next, 20);
  expect(Math.min(...next.responded)).toBe(Math.max(...node.responded) + 1);
  expect(await lost(node)).toBe(0);
  await next.stopTraffic();
  await untilAllReceived(next);
  expect(missingForAudit(kafka)).toBe(0);
});

test('events that neither a full disk nor Kafka has at the end are counted, and the audit finds the same number', async () => {
  const disk = await mounted();
  const kafka = createKafka();
  const node = await nodeOn(disk, { kafka });
  await untilMoreResponses(node);
  await disk.inject('full');
  await untilDiskFails(node);
  kafka.isDown = true;
  await untilMoreResponses(node);
  await node.stop();
  const count = await lost(node);
  expect(count).toBeGreaterThan(100);
  await disk.recover();
  kafka.isDown = false;
  const next = await nodeOn(disk, { kafka });
  await untilMoreResponses(next, 20);
  await next.stopTraffic();
  await untilAllReceived(next);
  expect(missingForAudit(kafka)).toBe(count);
  expect(unreceived(node).length).toBe(count);
});

test('a spool that fills its volume works again when Kafka is back, and events that did not fit are counted', async () => {
  const disk = await mounted('ext4', 4 * 1024 * 1024);
  const node = await nodeOn(disk, { payloadBytes: 5_000, memoryBytesMax: 3 * 1024 * 1024 });
  node.kafka.isDown = true;
  await untilDiskFails(node);
  await vi.waitFor(async () => expect(await lost(node)).toBeGreaterThan(0), soon);
  node.kafka.isDown = false;
  await untilHealthy(node);
  await untilMoreResponses(node);
  await node.stopTraffic();
  await vi.waitFor(async () => expect(unreceived(node)).toHaveLength(await lost(node)), soon);
  expect(missingForAudit(node.kafka)).toBe(await lost(node));
  await vi.waitFor(
    async () => expect(await metricOf(node.registry, 'tollgate_spool_bytes')).toBeLessThan(200_000),
    soon,
  );
});

test('no event is lost while the file system of the segments is unmounted', async () => {
  const disk = await mounted('ext4');
  const node = await nodeOn(disk);
  node.kafka.isDown = true;
  await untilMoreResponses(node, 600);
  await disk.inject('unmounted');
  // Kafka is up again, so that the sender tries to open missing segments before the store detects that the folder is
  // missing.
  node.kafka.isDown = false;
  await untilDiskFails(node);
  await untilMoreResponses(node);
  await disk.recover();
  await untilHealthy(node);
  await untilMoreResponses(node);
  await node.stopTraffic();
  await untilAllReceived(node);
  expect(await lost(node)).toBe(0);
  expect(missingForAudit(node.kafka)).toBe(0);
});

test('a spool folder that is removed under traffic is created again, and its lost events are counted', async () => {
  const disk = await mounted();
  const node = await nodeOn(disk);
  await untilMoreResponses(node);
  node.kafka.isDown = true;
  // Several segments: the newest events are also in memory.
  await untilMoreResponses(node, 600);
  rmSync(disk.path, { recursive: true });
  await untilDiskFails(node);
  node.kafka.isDown = false;
  await untilHealthy(node);
  await untilMoreResponses(node);
  await node.stopTraffic();
  await vi.waitFor(async () => expect(unreceived(node)).toHaveLength(await lost(node)), soon);
  expect(await lost(node)).toBeGreaterThan(0);
  expect(missingForAudit(node.kafka)).toBe(await lost(node));
});

test.each(['full', 'read-only', 'frozen'] as const)(
  'a spool that starts on a disk that is %s works in memory, and sends the events on the disk after the fault',
  async (fault) => {
    const disk = await mounted('ext4');
    const kafka = createKafka();
    // A file system that turns read-only loses writes that are not synced.
    const before = await nodeOn(disk, { kafka, durability: 'power' });
    kafka.isDown = true;
    await untilMoreResponses(before);
    await before.stop();
    kafka.isDown = false;
    await disk.inject(fault);
    const node = await nodeOn(disk, { kafka });
    await untilMoreResponses(node);
    await vi.waitFor(() => expect(unreceived(node).length).toBeLessThan(100), soon);
    await disk.recover();
    await untilHealthy(node);
    await untilMoreResponses(node);
    await node.stopTraffic();
    await untilAllReceived(node);
    await untilAllReceived(before);
    expect([...node.responded].filter((sequence) => before.responded.has(sequence))).toHaveLength(0);
    expect(missingForAudit(kafka)).toBe(0);
  },
);

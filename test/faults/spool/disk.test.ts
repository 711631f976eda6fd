// Goal: no fault of the spool's disk loses an event silently, stops the answers, or outlasts the fault.
// Method: a spool under traffic on a small file system of its own, on which each fault is caused and ended for real.
import { rmSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { metricOf } from '../../unit/spool/folder.ts';
import { diskFaults, mountExt4, mountTmpfs } from '../disk.ts';
import type { DiskFault, FaultDisk } from '../disk.ts';
import { auditedMissing, missing, newKafka, startNode } from './node.ts';
import type { NodeOptions, SpoolNode } from './node.ts';

const disks: FaultDisk[] = [];
const nodes: SpoolNode[] = [];
afterEach(async () => {
  for (const disk of disks) await disk.recover().catch(() => undefined);
  for (const node of nodes.splice(0)) await node.stop();
  for (const disk of disks.splice(0)) await disk.dispose();
});

const mounts = { tmpfs: mountTmpfs, ext4: mountExt4 };
const soon = { timeout: 8_000, interval: 20 };

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

const answersMore = async (node: SpoolNode, count = 200): Promise<void> => {
  const target = node.answered.size + count;
  await vi.waitFor(() => expect(node.answered.size).toBeGreaterThan(target), soon);
};
const isHealthy = (node: SpoolNode): Promise<void> =>
  vi.waitFor(() => expect(node.spool.diskFailure()).toBeNull(), soon);
const inTrouble = (node: SpoolNode): Promise<void> =>
  vi.waitFor(() => expect(node.spool.diskFailure()).not.toBeNull(), soon);
const allArrived = (node: SpoolNode): Promise<void> =>
  vi.waitFor(() => expect(missing(node)).toHaveLength(0), soon);
const lost = (node: SpoolNode): Promise<number> => metricOf(node.registry, 'tollgate_spool_dropped_total');

const cases = (['tmpfs', 'ext4'] as const).flatMap((kind) =>
  diskFaults[kind].map((fault) => [kind, fault] as const),
);
/** A disk that runs out of inodes is noticed by the next segment. */
const segmentBytesFor = (fault: DiskFault): number => (fault === 'no inodes' ? 20_000 : 100_000);

test.each(cases)(
  'on %s, %s: requests are answered, events reach Kafka from memory, and the disk is used again by itself',
  async (kind, fault) => {
    const disk = await mounted(kind);
    const durability = fault === 'device failing' ? 'power' : 'process';
    const node = await nodeOn(disk, { segmentBytes: segmentBytesFor(fault), durability });
    await answersMore(node);
    node.slowestMs();
    // A segment that Kafka has would give its inode back.
    node.kafka.isAway = fault === 'no inodes';
    await disk.cause(fault);
    await inTrouble(node);
    node.kafka.isAway = false;
    await answersMore(node);
    expect(node.slowestMs()).toBeLessThan(2_000);
    await vi.waitFor(
      () => expect([...node.answered].at(-200)).toSatisfy((n) => !missing(node).includes(n as number)),
      soon,
    );
    await disk.recover();
    await isHealthy(node);
    await answersMore(node);
    await node.rest();
    // A device that fails may lose what it confirmed; then it is counted.
    await vi.waitFor(async () => expect(missing(node)).toHaveLength(await lost(node)), soon);
    if (fault !== 'device failing') expect(await lost(node)).toBe(0);
    expect(auditedMissing(node.kafka)).toBe(await lost(node));
  },
);

test('an end on a full disk hands memory to Kafka, and the next run gives no number again', async () => {
  const disk = await mounted();
  const kafka = newKafka();
  const node = await nodeOn(disk, { kafka });
  await answersMore(node);
  await disk.cause('full');
  await inTrouble(node);
  await answersMore(node);
  await node.stop();
  expect(missing(node)).toHaveLength(0);
  await disk.recover();
  const next = await nodeOn(disk, { kafka });
  await answersMore(next, 20);
  expect(Math.min(...next.answered)).toBe(Math.max(...node.answered) + 1);
  expect(await lost(node)).toBe(0);
  await next.rest();
  await allArrived(next);
  expect(auditedMissing(kafka)).toBe(0);
});

test('what neither a full disk nor Kafka takes at the end is counted, and the audit finds the same number', async () => {
  const disk = await mounted();
  const kafka = newKafka();
  const node = await nodeOn(disk, { kafka });
  await answersMore(node);
  await disk.cause('full');
  await inTrouble(node);
  kafka.isAway = true;
  await answersMore(node);
  await node.stop();
  const count = await lost(node);
  expect(count).toBeGreaterThan(100);
  await disk.recover();
  kafka.isAway = false;
  const next = await nodeOn(disk, { kafka });
  await answersMore(next, 20);
  await next.rest();
  await allArrived(next);
  expect(auditedMissing(kafka)).toBe(count);
  expect(missing(node).length).toBe(count);
});

test('a spool that fills its own small volume goes on once Kafka is back, and what did not fit is counted', async () => {
  const disk = await mounted('ext4', 4 * 1024 * 1024);
  const node = await nodeOn(disk, { payloadBytes: 5_000, memoryBytesMax: 3 * 1024 * 1024 });
  node.kafka.isAway = true;
  await inTrouble(node);
  await vi.waitFor(async () => expect(await lost(node)).toBeGreaterThan(0), soon);
  node.kafka.isAway = false;
  await isHealthy(node);
  await answersMore(node);
  await node.rest();
  await vi.waitFor(async () => expect(missing(node)).toHaveLength(await lost(node)), soon);
  expect(auditedMissing(node.kafka)).toBe(await lost(node));
  await vi.waitFor(
    async () => expect(await metricOf(node.registry, 'tollgate_spool_bytes')).toBeLessThan(200_000),
    soon,
  );
});

test('segments out of reach while their file system is unmounted are not given up: all events arrive', async () => {
  const disk = await mounted('ext4');
  const node = await nodeOn(disk);
  node.kafka.isAway = true;
  await answersMore(node, 600);
  await disk.cause('unmounted');
  // The sender comes to segments that it cannot open before the store has missed the folder.
  node.kafka.isAway = false;
  await inTrouble(node);
  await answersMore(node);
  await disk.recover();
  await isHealthy(node);
  await answersMore(node);
  await node.rest();
  await allArrived(node);
  expect(await lost(node)).toBe(0);
  expect(auditedMissing(node.kafka)).toBe(0);
});

test('a spool folder that is removed under traffic is made anew, and what it held is counted', async () => {
  const disk = await mounted();
  const node = await nodeOn(disk);
  await answersMore(node);
  node.kafka.isAway = true;
  await answersMore(node);
  rmSync(disk.path, { recursive: true });
  await inTrouble(node);
  node.kafka.isAway = false;
  await isHealthy(node);
  await answersMore(node);
  await node.rest();
  await vi.waitFor(async () => expect(missing(node)).toHaveLength(await lost(node)), soon);
  expect(await lost(node)).toBeGreaterThan(0);
  expect(auditedMissing(node.kafka)).toBe(await lost(node));
});

test.each(['full', 'read-only', 'frozen'] as const)(
  'a start on a disk that is %s serves from memory, and sends what the disk holds once it can be read',
  async (fault) => {
    const disk = await mounted('ext4');
    const kafka = newKafka();
    // What is not synced is lost with a file system that turns read-only.
    const before = await nodeOn(disk, { kafka, durability: 'power' });
    kafka.isAway = true;
    await answersMore(before);
    await before.stop();
    kafka.isAway = false;
    await disk.cause(fault);
    const node = await nodeOn(disk, { kafka });
    await answersMore(node);
    await vi.waitFor(() => expect(missing(node).length).toBeLessThan(100), soon);
    await disk.recover();
    await isHealthy(node);
    await answersMore(node);
    await node.rest();
    await allArrived(node);
    await allArrived(before);
    expect([...node.answered].filter((sequence) => before.answered.has(sequence))).toHaveLength(0);
    expect(auditedMissing(kafka)).toBe(0);
  },
);

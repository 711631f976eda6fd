// Goal: after any loss, copy or restore of a gateway's disk, no two events have the same run id and sequence number,
// and the run ids show what happened. Method: open the folder in the state after the incident, and read the run ids
// that would reach Kafka.
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { SpoolOptions } from '../../../services/gateway/spool/spool.ts';
import { readSpoolRun } from '../../../shared/domain/spool-run.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { copyAsCrashed, eventOf, newFolder, openIn, removeFolder } from './folder.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) removeFolder(folder);
});

function folder(path: string = newFolder()): string {
  folders.push(path);
  return path;
}

/** Opens the spool, appends `count` events, reads all unsent ones and returns their run ids and sequence numbers. */
async function run(
  directory: string,
  count: number,
  { acknowledge = true, ...options }: Partial<SpoolOptions> & { readonly acknowledge?: boolean } = {},
) {
  const { spool } = await openIn(directory, options);
  for (let index = 0; index < count; index += 1) spool.append(eventOf('acme', 'x'));
  await spool.flushed();
  const records = [];
  let batch = await spool.readBatch(100, 100_000);
  for (; batch.length > 0; batch = await spool.readBatch(100, 100_000)) records.push(...batch);
  const last = records.at(-1);
  if (acknowledge && last !== undefined) spool.acknowledge(last.sequence);
  await spool.close();
  return records.map(({ value }) => {
    const { spool: name = '', spoolsequence = 0 } = JSON.parse(value.toString()) as UsageCloudEvent;
    return { name, run: readSpoolRun(name)!, sequence: spoolsequence };
  });
}

test('after a restart the sequence continues where the previous run ended', async () => {
  const directory = folder();
  const before = await run(directory, 3);
  const after = await run(directory, 2);
  expect(before.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  expect(after.map(({ sequence }) => sequence)).toEqual([4, 5]);
  expect(after[0]!.run).toMatchObject({ folder: before[0]!.run.folder, first: 4 });
  expect(after[0]!.name).not.toBe(before[0]!.name);
});

test('opening times increase with each opening, also if the clock was set back', async () => {
  const directory = folder();
  const before = await run(directory, 1, { clock: { now: () => 1_790_000_000_000 } });
  const after = await run(directory, 1, { clock: { now: () => 1_780_000_000_000 } });
  const later = await run(directory, 1, { clock: { now: () => 1_780_000_000_500 } });
  const opened = [before, after, later].map(([record]) => record!.run.openedAtMs);
  expect(opened).toEqual([1_790_000_000_000, 1_790_000_000_001, 1_790_000_000_002]);
});

test('an event that is sent by a later run keeps the id of the run that appended it', async () => {
  const directory = folder();
  const before = await run(directory, 3, { acknowledge: false });
  const after = await run(directory, 1);
  expect(after.map(({ name }) => name)).toEqual([...before.map(({ name }) => name), after.at(-1)!.name]);
  expect(after.at(-1)!.name).not.toBe(before[0]!.name);
});

test('after the loss of the disk, sequence numbers begin at 1 under another folder name', async () => {
  const directory = folder();
  const before = await run(directory, 5);
  rmSync(directory, { recursive: true });
  const after = await run(directory, 2);
  expect(after[0]!.run.first).toBe(1);
  expect(after[0]!.run.folder).not.toBe(before[0]!.run.folder);
});

test('a folder that is restored from an older copy begins a run below the end of the previous run', async () => {
  const directory = folder();
  await run(directory, 3);
  const copy = folder(copyAsCrashed(directory));
  const lost = await run(directory, 4);
  const again = await run(copy, 4);
  expect(again.map(({ sequence }) => sequence)).toEqual(lost.map(({ sequence }) => sequence));
  expect(again[0]!.run.folder).toBe(lost[0]!.run.folder);
  expect(again[0]!.name).not.toBe(lost[0]!.name);
});

test('two nodes with the same name, on two disks or on two copies of one disk, have different run ids', async () => {
  const [one, other] = [folder(), folder()];
  expect((await run(one, 1))[0]!.name).not.toBe((await run(other, 1))[0]!.name);
  const clone = folder();
  cpSync(one, clone, { recursive: true });
  expect((await run(one, 1))[0]!.name).not.toBe((await run(clone, 1))[0]!.name);
});

test('a corrupt folder name is replaced by a new one, and no event is lost', async () => {
  const directory = folder();
  const before = await run(directory, 2, { acknowledge: false });
  writeFileSync(join(directory, 'name'), 'half a\u0000');
  const after = await run(directory, 1);
  expect(after.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  expect(after.at(-1)!.run.folder).not.toBe(before[0]!.run.folder);
});

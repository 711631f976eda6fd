// Goal: whatever happens to a gateway's disk, no event passes for another, and the numbers tell what happened.
// Method: each case opens the folder as its host would find it, and reads the stamps that would reach Kafka.
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

/** Appends so many events, takes all that is unsent, acknowledges it if asked, and answers the stamps. */
async function run(
  directory: string,
  count: number,
  { acknowledge = true, ...options }: Partial<SpoolOptions> & { readonly acknowledge?: boolean } = {},
) {
  const { spool } = await openIn(directory, options);
  for (let index = 0; index < count; index += 1) spool.append(eventOf('acme', 'x'));
  await spool.flushed();
  const records = [];
  for (
    let some = await spool.readBatch(100, 100_000);
    some.length > 0;
    some = await spool.readBatch(100, 100_000)
  )
    records.push(...some);
  const last = records.at(-1);
  if (acknowledge && last !== undefined) spool.acknowledge(last.sequence);
  await spool.close();
  return records.map(({ value }) => {
    const { spool: name = '', spoolsequence = 0 } = JSON.parse(value.toString()) as UsageCloudEvent;
    return { name, run: readSpoolRun(name)!, sequence: spoolsequence };
  });
}

test('a restart goes on in the same series, where the run before it ended', async () => {
  const directory = folder();
  const before = await run(directory, 3);
  const after = await run(directory, 2);
  expect(before.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  expect(after.map(({ sequence }) => sequence)).toEqual([4, 5]);
  expect(after[0]!.run).toMatchObject({ folder: before[0]!.run.folder, first: 4 });
  expect(after[0]!.name).not.toBe(before[0]!.name);
});

test('openings are stamped in their order, also where the clock was set back between them', async () => {
  const directory = folder();
  const before = await run(directory, 1, { clock: { now: () => 1_790_000_000_000 } });
  const after = await run(directory, 1, { clock: { now: () => 1_780_000_000_000 } });
  const later = await run(directory, 1, { clock: { now: () => 1_780_000_000_500 } });
  const opened = [before, after, later].map(([record]) => record!.run.openedAtMs);
  expect(opened).toEqual([1_790_000_000_000, 1_790_000_000_001, 1_790_000_000_002]);
});

test('what was appended and not sent keeps the run that numbered it', async () => {
  const directory = folder();
  const before = await run(directory, 3, { acknowledge: false });
  const after = await run(directory, 1);
  expect(after.map(({ name }) => name)).toEqual([...before.map(({ name }) => name), after.at(-1)!.name]);
  expect(after.at(-1)!.name).not.toBe(before[0]!.name);
});

test('a node whose disk was lost begins a new series: its numbers are never taken for the old ones', async () => {
  const directory = folder();
  const before = await run(directory, 5);
  rmSync(directory, { recursive: true });
  const after = await run(directory, 2);
  expect(after[0]!.run.first).toBe(1);
  expect(after[0]!.run.folder).not.toBe(before[0]!.run.folder);
});

test('a folder set back to an older copy begins a run below the end of the one before', async () => {
  const directory = folder();
  await run(directory, 3);
  const copy = folder(copyAsCrashed(directory));
  const lost = await run(directory, 4);
  const again = await run(copy, 4);
  expect(again.map(({ sequence }) => sequence)).toEqual(lost.map(({ sequence }) => sequence));
  expect(again[0]!.run.folder).toBe(lost[0]!.run.folder);
  expect(again[0]!.name).not.toBe(lost[0]!.name);
});

test('two nodes of one name with disks of their own, or on copies of one disk, are told apart', async () => {
  const [one, other] = [folder(), folder()];
  expect((await run(one, 1))[0]!.name).not.toBe((await run(other, 1))[0]!.name);
  const clone = folder();
  cpSync(one, clone, { recursive: true });
  expect((await run(one, 1))[0]!.name).not.toBe((await run(clone, 1))[0]!.name);
});

test('a name that cannot be read is made anew: the series ends, no event does', async () => {
  const directory = folder();
  const before = await run(directory, 2, { acknowledge: false });
  writeFileSync(join(directory, 'name'), 'half a\u0000');
  const after = await run(directory, 1);
  expect(after.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  expect(after.at(-1)!.run.folder).not.toBe(before[0]!.run.folder);
});

import { readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import type { Spool } from '../../../services/gateway/spool/spool.ts';
import { copyAsCrashed, eventOf, newFolder, openIn, removeFolder, segmentPaths, readAll } from './folder.ts';

/** Payloads of all lengths and alphabets, with the bytes of the record marker among them. */
const payloads = fc.array(
  fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.constant('TGR1'),
    fc.constant('TGR1'.repeat(20)),
  ),
  { minLength: 1, maxLength: 40 },
);
const runs = { numRuns: 40 };
const soon = { timeout: 20_000, interval: 5 };

/** Appends three events per iteration into small segments, so that a few dozen events span several files. */
async function write(directory: string, texts: readonly string[]): Promise<void> {
  const { spool } = await openIn(directory, { segmentBytes: 3_000 });
  for (const [index, text] of texts.entries()) {
    spool.append(eventOf(`tenant-${index % 3}`, text));
    if (index % 3 === 2) await spool.flushed();
  }
  await spool.close();
}

/**
 * Resolves when the disk has all events. `flushed` also resolves if a call to the disk takes longer than 250 ms, and the
 * events are then only in memory until the call has ended.
 */
async function untilOnDisk(spool: Spool): Promise<void> {
  await spool.flushed();
  await vi.waitFor(() => expect(spool.diskFailure()).toBeNull(), soon);
}

async function withFolders(check: (directory: string) => Promise<string[]>): Promise<void> {
  const directory = newFolder();
  const others = await check(directory);
  for (const folder of [directory, ...others]) removeFolder(folder);
}

test('after a truncation at any byte, the spool returns every complete record and continues the sequence', async () => {
  await fc.assert(
    fc.asyncProperty(payloads, fc.double({ min: 0, max: 1, noNaN: true }), async (texts, share) => {
      await withFolders(async (directory) => {
        await write(directory, texts);
        const crashed = copyAsCrashed(directory);
        const last = segmentPaths(crashed).at(-1)!;
        const before = readFileSync(last);
        const keptBytes = Math.floor(before.length * share);
        truncateSync(last, keptBytes);
        const lost = countIn(before) - countIn(before.subarray(0, keptBytes));

        const { spool } = await openIn(crashed, { segmentBytes: 3_000 });
        const next = spool.append(eventOf('after', 'after the crash'));
        await spool.flushed();
        const found = await readAll(spool);
        await spool.close();

        const complete = texts.slice(0, texts.length - lost);
        expect(found.map(({ payload }) => payload)).toEqual([...complete, 'after the crash']);
        expect(found.map(({ sequence }) => sequence)).toEqual(found.map((_, index) => index + 1));
        expect(next).toBe(complete.length + 1);
        return [crashed];
      });
    }),
    runs,
  );
});

test('a corrupt byte costs only its own record, which is moved to damaged/', async () => {
  await fc.assert(
    fc.asyncProperty(payloads, fc.nat(), fc.integer({ min: 1, max: 255 }), async (texts, position, flip) => {
      await withFolders(async (directory) => {
        await write(directory, texts);
        const crashed = copyAsCrashed(directory);
        const path = segmentPaths(crashed)[0]!;
        const bytes = readFileSync(path);
        const at = position % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ flip;
        writeFileSync(path, bytes);

        const { spool } = await openIn(crashed, { segmentBytes: 3_000 });
        const found = await readAll(spool);
        await spool.close();

        const sequences = new Set(found.map(({ sequence }) => sequence));
        expect(found.length).toBe(texts.length - 1);
        expect(sequences.size).toBe(found.length);
        for (const { sequence, payload } of found) expect(payload).toBe(texts[sequence - 1]);
        return [crashed];
      });
    }),
    runs,
  );
});

test('after a crash, exactly the records that were not acknowledged are returned again', async () => {
  await fc.assert(
    fc.asyncProperty(payloads, fc.nat(), async (texts, position) => {
      await withFolders(async (directory) => {
        const { spool } = await openIn(directory, { segmentBytes: 3_000 });
        for (const text of texts) spool.append(eventOf('acme', text));
        await untilOnDisk(spool);
        await readAll(spool);
        const acknowledged = position % (texts.length + 1);
        if (acknowledged > 0) spool.acknowledge(acknowledged);
        // The cursor is written after the acknowledgement. A crash in between costs a redelivery.
        const cursorAt = (): number => readFileSync(join(directory, 'cursor')).readDoubleLE(0);
        if (acknowledged > 0) await vi.waitFor(() => expect(cursorAt()).toBe(acknowledged + 1), soon);
        const crashed = copyAsCrashed(directory);
        await spool.close();

        const again = await openIn(crashed);
        const found = await readAll(again.spool);
        await again.spool.close();
        expect(found.map(({ payload }) => payload)).toEqual(texts.slice(acknowledged));
        return [crashed];
      });
    }),
    runs,
  );
});

test('an unreadable cursor costs a redelivery, not an event', async () => {
  const directory = newFolder();
  await write(directory, ['a', 'b', 'c']);
  writeFileSync(join(directory, 'cursor'), 'nonsense');
  const { spool } = await openIn(directory);
  expect((await readAll(spool)).map(({ payload }) => payload)).toEqual(['a', 'b', 'c']);
  await spool.close();
  removeFolder(directory);
});

test('the sequence continues after all records were acknowledged and all segments removed', async () => {
  const directory = newFolder();
  await write(directory, ['a', 'b', 'c']);
  const first = await openIn(directory);
  await readAll(first.spool);
  first.spool.acknowledge(3);
  await first.spool.close();
  const second = await openIn(directory);
  expect(second.spool.append(eventOf('acme', 'd'))).toBe(4);
  await second.spool.close();
  removeFolder(directory);
});

test('corrupt bytes at the end of the last segment are moved to damaged/', async () => {
  const directory = newFolder();
  await write(directory, ['a', 'b']);
  const last = segmentPaths(directory).at(-1)!;
  writeFileSync(last, Buffer.concat([readFileSync(last), Buffer.from('garbage that is no record')]));
  const { spool } = await openIn(directory);
  expect((await readAll(spool)).map(({ payload }) => payload)).toEqual(['a', 'b']);
  await spool.close();
  const kept = readdirSync(join(directory, 'damaged')).map((name) =>
    readFileSync(join(directory, 'damaged', name), 'utf8'),
  );
  expect(kept).toEqual(['garbage that is no record']);
  removeFolder(directory);
});

/** Returns the number of complete records in these bytes, by their length fields. */
function countIn(bytes: Buffer): number {
  let count = 0;
  for (let at = 0; at + 24 <= bytes.length; count += 1) {
    at += 24 + bytes.readUInt32LE(at + 4);
    if (at > bytes.length) break;
  }
  return count;
}

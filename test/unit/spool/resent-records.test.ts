// Goal: every record that Kafka may have already is marked, so that the aggregator recognises corrections that are sent again; a
// record that is sent for the first time is not marked.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createBatchSource } from '../../../services/gateway/spool/batch-source.ts';
import { PendingEvents } from '../../../services/gateway/spool/pending-events.ts';
import type { Spool } from '../../../services/gateway/spool/spool.ts';
import type { SpoolRecord } from '../../../services/gateway/spool/segments/record.ts';
import { isResent } from '../../../shared/domain/topics/resent-record.ts';
import { copyAsCrashed, eventOf, newFolder, openIn, removeFolder } from './folder.ts';

let directory: string;
beforeEach(() => {
  directory = newFolder();
});
afterEach(() => removeFolder(directory));

/** The next batch, as texts such as `3` and, for a marked record, `3 again`. */
async function nextBatch(source: Pick<Spool, 'readBatch'>): Promise<string[]> {
  const records = await source.readBatch(50, 20_000);
  return records.map(({ sequence, headers = {} }) => `${sequence}${isResent({ headers }) ? ' again' : ''}`);
}

async function append(spool: Spool, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) spool.append(eventOf('acme', 'x'));
  await spool.flushed();
}

test('after a crash, the events of the folder are marked, and the events of the new run are not', async () => {
  const { spool } = await openIn(directory);
  await append(spool, 2);
  expect(await nextBatch(spool)).toEqual(['1', '2']);
  await append(spool, 1);
  const copy = copyAsCrashed(directory);
  const { spool: next } = await openIn(copy);
  await append(next, 1);
  const batch = [...(await nextBatch(next)), ...(await nextBatch(next))];
  expect(batch).toEqual(['1 again', '2 again', '3 again', '4']);
  await append(next, 1);
  expect(await nextBatch(next)).toEqual(['5']);
  await Promise.all([spool.close(), next.close()]);
  removeFolder(copy);
});

test('an event that was sent from memory, and is read from the disk afterwards, is marked', async () => {
  const pending = new PendingEvents(1_000_000, () => undefined);
  for (const sequence of [2, 3]) pending.append(sequence, 0, 'acme', 'x');
  let state: 'healthy' | 'memory-only' = 'memory-only';
  let onDisk: readonly SpoolRecord[] = [];
  const source = createBatchSource({
    pending,
    store: { state: () => state, acknowledged: () => undefined },
    reader: () => ({
      read: () => Promise.resolve(onDisk),
      unreadBytes: () => onDisk.length,
      release: () => Promise.resolve(),
    }),
  });
  source.begin(1, 0);
  expect(await nextBatch(source)).toEqual(['2', '3']);
  source.acknowledge(3);
  state = 'healthy';
  onDisk = [3, 4].map((sequence) => ({ sequence, appendedAtMs: 0, key: 'acme', value: Buffer.from('x') }));
  expect(await nextBatch(source)).toEqual(['3 again', '4']);
});

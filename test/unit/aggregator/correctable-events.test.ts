import { expect, test } from 'vitest';
import { createWaitingCorrections } from '../../../services/aggregator/corrections/waiting-corrections.ts';
import { decode, decodeBoundsDefault } from '../../../services/aggregator/events/decode.ts';
import { encodeChunk } from '../../../services/aggregator/events/event-chunk.ts';
import { resolve } from '../../../services/aggregator/events/resolve.ts';
import type { DecodedRecord } from '../../../services/aggregator/events/resolve.ts';
import { amendEventType } from '../../../shared/domain/events/correction.ts';
import { meterEvent, requestEvent } from '../../integration/aggregator/events.ts';
import { createStoreModel } from './model.ts';

const nowMs = Date.now();

function decoded(values: readonly object[], from: number): DecodedRecord[] {
  return values.map((value, index) => {
    const bytes = Buffer.from(JSON.stringify(value));
    const place = { topic: 'usage', partition: 0, offset: from + index, key: null };
    const record = { ...place, value: bytes, headers: {}, timestampMs: nowMs };
    return { record, decoded: decode(record, nowMs, decodeBoundsDefault) };
  });
}

test('a thousand corrections of stored events need as many queries as one', async () => {
  let queries = 0;
  const store = createStoreModel('none').seenBy((effect) => {
    queries += 1;
    return Promise.resolve(effect());
  });
  const requests = Array.from({ length: 1_000 }, () => requestEvent('acme', { timeMs: nowMs }));
  const waitingCorrections = createWaitingCorrections({ waitMs: 0, now: () => 0 });
  const waiting = { corrections: waitingCorrections, epoch: 0, due: [] };
  const before = await resolve(decoded(requests, 0), store, waiting);
  await store.insert([encodeChunk(before.events, nowMs)]);
  const corrections = requests.map(({ id }) => ({
    ...meterEvent('acme', { timeMs: nowMs }),
    type: amendEventType,
    data: { event_id: id, status: 502 },
  }));
  const costOf = async (count: number): Promise<number> => {
    queries = 0;
    const { events, rejections } = await resolve(decoded(corrections.slice(0, count), 5_000), store, waiting);
    expect(rejections).toEqual([]);
    expect(events.map(({ status }) => status)).toEqual(Array.from({ length: count }, () => 502));
    return queries;
  };
  expect(await costOf(1_000)).toBe(await costOf(1));
});

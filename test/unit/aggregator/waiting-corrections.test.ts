// Goal: whether a waiting correction is applied or becomes a dead letter depends on the log, not on the speed of the
// store.
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createAggregator } from '../../../services/aggregator/aggregator.ts';
import { createWaitingCorrections } from '../../../services/aggregator/corrections/waiting-corrections.ts';
import { decodeBoundsDefault } from '../../../services/aggregator/events/decode.ts';
import { aggregatorMetrics } from '../../../services/aggregator/metrics.ts';
import { resentHeaders } from '../../../shared/domain/topics/resent-record.ts';
import { createReadToEnd } from '../../../shared/kafka/consumer/read-to-end.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { messageOf } from './model-log.ts';
import type { Sent } from './model-log.ts';
import { createStoreModel, nowMs } from './model.ts';

const waitMs = 10_000;
const correction: Sent = { kind: 'amend', id: 0, units: 50 };
const event: Sent = { kind: 'meter', id: 0, minute: 0, units: 2 };
const otherEvent: Sent = { kind: 'meter', id: 1, minute: 0, units: 7 };

function start() {
  const state = { ms: 0, isDown: false, onCall: (): void => undefined };
  const deadOffsets: number[] = [];
  const store = createStoreModel('none');
  const waiting = createWaitingCorrections({ waitMs, now: () => state.ms });
  const none = { partition: 0, completeThroughMs: 0, offset: 0 };
  const aggregator = createAggregator({
    waiting,
    store: store.seenBy((effect) => {
      state.onCall();
      return state.isDown ? Promise.reject(new Error('down')) : Promise.resolve(effect());
    }),
    announcer: { announce: () => Promise.resolve() },
    progress: {
      sample: () => Promise.resolve(),
      advance: () => undefined,
      restore: () => undefined,
      of: () => none,
      all: () => [],
    },
    writeDeadLetters: (letters) => {
      deadOffsets.push(...letters.map(({ message }) => message.offset));
      return Promise.resolve();
    },
    clock: { now: () => nowMs },
    bounds: decodeBoundsDefault,
    metrics: aggregatorMetrics(new Registry()),
  });
  const begin = (messages: readonly ConsumedMessage[], isPart = false) =>
    aggregator.begin({ messages, isPart });
  const units = (): number[] => [...store.events.values()].map((one) => one.units);
  return { state, begin, waiting, deadOffsets, units };
}

/** The record at this offset. `afterMs` is the difference of its timestamp to the first record. */
function at(offset: number, item: Sent, afterMs = 0): ConsumedMessage {
  return { ...messageOf(item, offset), timestampMs: nowMs + afterMs };
}

test('a correction is applied and is no dead letter if the block of its event was stored late', async () => {
  const { state, begin, deadOffsets, units } = start();
  await begin([at(0, correction)]);
  state.isDown = true;
  await expect(begin([at(1, event, 1)])).rejects.toThrow('down');
  Object.assign(state, { ms: 30_000, isDown: false });
  await begin([at(1, event, 1)]);
  await begin([]);
  expect([units(), deadOffsets]).toEqual([[50], []]);
});

test('a correction waits for later blocks as long as its partition is not read to its end', async () => {
  const { state, begin, waiting, deadOffsets, units } = start();
  await begin([at(0, correction)]);
  state.ms = 30_000;
  waiting.noteReadToEnd(0, waitMs - 1);
  await begin([at(1, otherEvent, 1)]);
  expect(waiting.untilDueMs()).toBeGreaterThan(0);
  await begin([at(2, event, 2)]);
  expect([units(), deadOffsets]).toEqual([[7, 50], []]);
});

test('a correction is a dead letter once its partition is read to its end, and no later event takes it', async () => {
  const { state, begin, waiting, deadOffsets, units } = start();
  await begin([at(0, correction)]);
  state.ms = 30_000;
  waiting.noteReadToEnd(0, waitMs);
  expect(waiting.untilDueMs()).toBe(0);
  await begin([]);
  await begin([at(1, event, 1)]);
  expect([units(), deadOffsets]).toEqual([[2], [0]]);
});

test('a younger record ends the wait, but not while only a part of its block is handled', async () => {
  const { state, begin, deadOffsets, units } = start();
  await begin([at(0, correction)]);
  state.ms = 30_000;
  await begin([at(1, otherEvent, waitMs + 1)], true);
  expect(deadOffsets).toEqual([]);
  await begin([at(2, event, waitMs + 2)]);
  expect([units(), deadOffsets]).toEqual([[7, 2], [0]]);
});

test.each([
  ['a repeat', waitMs, 2, 60],
  ['no repeat if it is younger than the longest wait', waitMs + 1, 3, 50],
])('a copy of a correction that waits is %s', async (_name, afterMs, waitingCount, expected) => {
  const newer: Sent = { kind: 'amend', id: 0, units: 60 };
  const copy = { ...at(0, correction, afterMs), offset: 2, headers: resentHeaders };
  const { begin, waiting, units } = start();
  await begin([at(0, correction), at(1, newer, 1)]);
  await begin([copy]);
  expect(waiting.size()).toBe(waitingCount);
  await begin([at(3, event, 2)]);
  expect(units()).toEqual([expected]);
});

test('a block whose partitions are assigned again meanwhile applies no copy of a correction that waited', async () => {
  const newer: Sent = { kind: 'amend', id: 0, units: 60 };
  const copy = { ...at(0, correction, 3), offset: 3, headers: resentHeaders };
  const block = [at(1, event, 1), at(2, newer, 2), copy];
  const { state, begin, waiting, units } = start();
  await begin([at(0, correction)]);
  state.onCall = () => waiting.clear();
  await begin(block);
  state.onCall = () => undefined;
  await begin([at(0, correction), ...block]);
  expect(units()).toEqual([60]);
});

test('a correction of a client that became a dead letter is replayed, although its copy was a repeat while it waited', async () => {
  const { state, begin, waiting, deadOffsets, units } = start();
  await begin([at(0, correction)]);
  await begin([{ ...at(0, correction, 1), offset: 1 }]);
  expect(waiting.size()).toBe(1);
  state.ms = 30_000;
  await begin([at(2, otherEvent, waitMs + 2)]);
  await begin([at(3, event, waitMs + 3), { ...at(0, correction, waitMs + 4), offset: 4 }]);
  expect([units(), deadOffsets]).toEqual([[7, 50], [0]]);
});

test('a correction with the numbers of another one is no copy of it if their times differ', async () => {
  const newer: Sent = { kind: 'amend', id: 0, units: 60 };
  const text = String(at(0, newer).value)
    .replace('fix-0', 'fix-1')
    .replace(iso(nowMs), iso(nowMs - 1));
  const other = { ...at(1, newer), headers: resentHeaders, value: Buffer.from(text) };
  const { begin, waiting, units } = start();
  await begin([at(0, correction)]);
  await begin([other]);
  expect(waiting.size()).toBe(2);
  await begin([at(2, event)]);
  expect(units()).toEqual([60]);
});

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

test('a partition is read to its end once the block before that end has begun', () => {
  const noted: (readonly [number, number])[] = [];
  const readToEnd = createReadToEnd({
    from: () => null,
    oldestMs: () => null,
    untilDueMs: () => null,
    noteReadToEnd: (_topic, partition, atMs) => noted.push([partition, atMs]),
  });
  const begun = (offset: number): void => {
    const offsets = [{ topic: 't', partition: 3, offset }];
    readToEnd.noteBegun({ messages: [], unreadable: [], offsets, generation: 0 });
  };
  begun(5);
  readToEnd.noteEnds([{ topic: 't', partition: 3, end: 6 }], 100);
  expect(noted).toEqual([]);
  begun(6);
  expect(noted).toEqual([[3, 100]]);
  readToEnd.clear();
  readToEnd.noteEnds([{ topic: 't', partition: 3, end: 6 }], 200);
  expect(noted).toEqual([[3, 100]]);
});

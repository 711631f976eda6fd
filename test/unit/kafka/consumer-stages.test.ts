// Goal: stages work at the same time, in the order of the log, and a block is committed only after its last stage.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createConsumerBuffer } from '../../../shared/kafka/consumer/buffer.ts';
import type { ConsumerBlock } from '../../../shared/kafka/consumer/buffer.ts';
import { gatherMsMax, runStages } from '../../../shared/kafka/consumer/stages.ts';
import type { LaterStage } from '../../../shared/kafka/consumer/stages.ts';
import { failureOf } from '../../../shared/kafka/consumer/retry-policy.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { TollgateError } from '../../../shared/runtime/errors.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function messages(count: number): ConsumedMessage[] {
  return Array.from({ length: count }, (_, offset) => ({
    ...{ topic: 't', partition: 0, offset, key: null, value: null, headers: {}, timestampMs: 0 },
  }));
}

function block(number: number, records = 10): ConsumerBlock {
  const offsets = [{ topic: 't', partition: 0, offset: number }];
  return { messages: messages(records), unreadable: [], offsets, generation: 0 };
}

function start(
  later: readonly LaterStage<number>[],
  {
    isBehind = false,
    isCurrent = () => true,
  }: { isBehind?: boolean; isCurrent?: (number: number) => boolean } = {},
) {
  const committed: number[][] = [];
  const [again, abandoned]: [number[], number[]] = [[], []];
  /** The blocks that were committed each time the first stage had no more work. */
  const idleAt: number[][] = [];
  const numberOf = ({ offsets }: ConsumerBlock): number => offsets[0]?.offset ?? -1;
  const closing = new AbortController();
  const stages = runStages<number>({
    later,
    handleAgain(one) {
      again.push(numberOf(one));
      return Promise.resolve(true);
    },
    isBehind: () => isBehind,
    onIdle: () => idleAt.push(committed.flat()),
    isCurrent: (one) => isCurrent(numberOf(one)),
    onFailure: failureOf,
    onAbandoned: (one) => abandoned.push(numberOf(one)),
    commit(blocks) {
      committed.push(blocks.map(numberOf));
      return Promise.resolve();
    },
    closing: closing.signal,
  });
  const add = (number: number): void => stages.add({ block: block(number), works: [number] });
  return { stages, add, committed, again, abandoned, idleAt };
}

/** A stage whose calls end when the test says so. */
function slowStage() {
  const calls: {
    readonly works: readonly number[];
    readonly done: () => void;
    readonly fail: (error: Error) => void;
  }[] = [];
  const run = (works: readonly number[]): Promise<void> =>
    new Promise((done, fail) => {
      calls.push({ works, done, fail });
    });
  return { run, calls };
}

const moment = (): Promise<unknown> => vi.advanceTimersByTimeAsync(1);

describe('stages', () => {
  test('a slow stage gets all blocks that arrived meanwhile in one call, and commits follow the last stage', async () => {
    const [first, second] = [slowStage(), slowStage()];
    const { add, committed } = start([first, second]);
    for (const number of [1, 2, 3]) {
      add(number);
      await moment();
    }
    first.calls[0]?.done();
    await moment();
    expect([
      first.calls.map(({ works }) => works),
      second.calls.map(({ works }) => works),
      committed,
    ]).toEqual([[[1], [2, 3]], [[1]], []]);
    first.calls[1]?.done();
    second.calls[0]?.done();
    await moment();
    second.calls[1]?.done();
    await moment();
    expect(committed).toEqual([[1], [2, 3]]);
  });

  test('the stages are busy until the first of them has completed all blocks, whatever the others do', async () => {
    const [first, second] = [slowStage(), slowStage()];
    const { stages, add, idleAt } = start([first, second]);
    const busy: boolean[] = [stages.isBusy()];
    for (const number of [1, 2]) {
      add(number);
      await moment();
    }
    for (const call of [0, 1]) {
      busy.push(stages.isBusy());
      first.calls[call]?.done();
      await moment();
    }
    busy.push(stages.isBusy());
    expect([busy, idleAt, second.calls]).toEqual([[false, true, true, false], [[]], [second.calls[0]]]);
  });

  test('a block that is abandoned does not keep the stages busy', async () => {
    const { stages, add, idleAt } = start([slowStage()], { isCurrent: () => false });
    add(1);
    await moment();
    expect([stages.isBusy(), idleAt]).toEqual([false, [[]]]);
  });

  test('while the consumer is behind, a stage gathers batches for a bounded time', async () => {
    const stage = slowStage();
    const { add } = start([{ run: stage.run, gatherBatches: 3 }], { isBehind: true });
    add(1);
    await vi.advanceTimersByTimeAsync(gatherMsMax - 10);
    expect(stage.calls).toEqual([]);
    await vi.advanceTimersByTimeAsync(20);
    expect(stage.calls.map(({ works }) => works)).toEqual([[1]]);
    stage.calls[0]?.done();
    for (const number of [2, 3, 4]) add(number);
    await moment();
    expect(stage.calls[1]?.works).toEqual([2, 3, 4]);
  });

  test('an interval separates the starts of two calls', async () => {
    const stage = slowStage();
    const { add } = start([{ run: stage.run, intervalMs: 250 }]);
    add(1);
    await moment();
    stage.calls[0]?.done();
    add(2);
    await vi.advanceTimersByTimeAsync(240);
    expect(stage.calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(20);
    expect(stage.calls.map(({ works }) => works)).toEqual([[1], [2]]);
  });

  test('an outage is retried in its stage, and nothing is committed before it ends', async () => {
    let isDown = true;
    const run = (): Promise<void> =>
      isDown ? Promise.reject(new TollgateError('CLICKHOUSE_UNAVAILABLE', 'down')) : Promise.resolve();
    const { add, committed, again } = start([{ run }]);
    add(1);
    await vi.advanceTimersByTimeAsync(120_000);
    expect([committed, again]).toEqual([[], []]);
    isDown = false;
    await vi.advanceTimersByTimeAsync(10_000);
    expect([committed, again]).toEqual([[[1]], []]);
  });

  test('after a failure that is no outage, each block is handled again alone', async () => {
    const { add, committed, again } = start([{ run: () => Promise.reject(new RangeError('bad record')) }]);
    add(1);
    add(2);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(again).toEqual([1, 2]);
    expect(committed.flat()).toEqual([1, 2]);
  });

  test('blocks whose partitions moved are abandoned, not committed', async () => {
    let isCurrent = true;
    const stage = slowStage();
    const { stages, add, committed, abandoned } = start([stage], { isCurrent: () => isCurrent });
    add(1);
    await moment();
    isCurrent = false;
    stage.calls[0]?.done();
    await stages.end();
    expect([committed, abandoned]).toEqual([[], [1]]);
  });

  test('a block that is abandoned during an outage no longer counts as open, and its neighbours still do', async () => {
    let isDown = true;
    const run = (): Promise<void> =>
      isDown ? Promise.reject(new TollgateError('CLICKHOUSE_UNAVAILABLE', 'down')) : Promise.resolve();
    const { stages, add, committed, abandoned } = start([{ run, intervalMs: 10 }], {
      isCurrent: (number) => number !== 1,
    });
    for (const number of [1, 2, 3]) add(number);
    let hasRoom = false;
    void stages.untilAtMost(1).then(() => (hasRoom = true));
    await vi.advanceTimersByTimeAsync(120_000);
    expect([hasRoom, abandoned]).toEqual([false, [1]]);
    isDown = false;
    await vi.advanceTimersByTimeAsync(10_000);
    expect([hasRoom, committed]).toEqual([true, [[2, 3]]]);
  });
});

describe('the time at which a block is due', () => {
  const lingerMs = 150;

  function startBuffer(isBusy: () => boolean = () => false) {
    const { signal } = new AbortController();
    const buffer = createConsumerBuffer({ batchRecordsMax: 1_000, batchBytesMax: 1e9, lingerMs, signal });
    const sizes: number[] = [];
    void (async () => {
      for (;;) {
        const next = await buffer.next(Infinity, isBusy);
        if (next === null) return;
        sizes.push(next.messages.length);
      }
    })();
    const add = (records: number): void =>
      buffer.add({
        ...{ topic: 't', partition: 0, nextOffset: 0, commitOffset: 0, unreadable: [] },
        messages: messages(records),
      });
    return { buffer, sizes, add };
  }

  test('a record after a pause waits a moment only, the records of a trickle wait for each other', async () => {
    const { sizes, add } = startBuffer();
    await vi.advanceTimersByTimeAsync(1_000);
    add(1);
    await vi.advanceTimersByTimeAsync(20);
    expect(sizes).toEqual([1]);
    for (let ms = 0; ms < 1_500; ms += 10) {
      add(1);
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(sizes.length).toBeLessThanOrEqual(1 + 1_500 / lingerMs);
  });

  test('many records shorten the interval, and a full block is due at once', async () => {
    const { sizes, add } = startBuffer();
    for (let ms = 0; ms < 1_500; ms += 10) {
      add(20);
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(sizes.length).toBeGreaterThanOrEqual(20);
    const before = sizes.length;
    add(1_000);
    await vi.advanceTimersByTimeAsync(1);
    expect(sizes.length).toBeGreaterThan(before);
  });

  test('while a later stage is busy, records are gathered until it is idle or the block is full', async () => {
    let isBusy = true;
    const { buffer, sizes, add } = startBuffer(() => isBusy);
    add(100);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(sizes).toEqual([]);
    add(900);
    await vi.advanceTimersByTimeAsync(1);
    expect(sizes).toEqual([1_000]);
    add(50);
    await vi.advanceTimersByTimeAsync(5_000);
    isBusy = false;
    buffer.recheck();
    await vi.advanceTimersByTimeAsync(1);
    expect(sizes).toEqual([1_000, 50]);
  });

  test('fetches continue as soon as a block leaves a full buffer, and heartbeats are sent until then', async () => {
    const { signal } = new AbortController();
    const buffer = createConsumerBuffer({ batchRecordsMax: 10, batchBytesMax: 1e9, lingerMs, signal });
    buffer.add({
      ...{ topic: 't', partition: 0, nextOffset: 0, commitOffset: 0, unreadable: [] },
      messages: messages(10),
    });
    let [heartbeats, continued] = [0, 0];
    const heartbeat = (): Promise<void> => {
      heartbeats += 1;
      return Promise.resolve();
    };
    const waitForRoom = (): void => void buffer.waitForRoom(heartbeat).then(() => (continued += 1));
    waitForRoom();
    waitForRoom();
    await vi.advanceTimersByTimeAsync(1_600);
    expect([heartbeats, continued]).toEqual([6, 0]);
    await buffer.next();
    await vi.advanceTimersByTimeAsync(1);
    expect(continued).toBe(2);
  });
});

// Goal: stages work at the same time, in the order of the log, and a block is committed only after its last stage.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ConsumerBlock } from '../../../shared/kafka/consumer/buffer.ts';
import { gatherMsMax, runStages } from '../../../shared/kafka/consumer/stages.ts';
import type { LaterStage } from '../../../shared/kafka/consumer/stages.ts';
import { failureOf } from '../../../shared/kafka/consumer/retry-policy.ts';
import { TollgateError } from '../../../shared/runtime/errors.ts';
import { messages } from './messages.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function block(number: number, records = 10): ConsumerBlock {
  const offsets = [{ topic: 't', partition: 0, offset: number }];
  return { messages: messages(records), unreadable: [], offsets, generation: 0 };
}

function start(
  later: readonly LaterStage<number>[],
  {
    isBehind = false,
    openBlocksMax = Infinity,
    isCurrent = () => true,
  }: { isBehind?: boolean; openBlocksMax?: number; isCurrent?: (number: number) => boolean } = {},
) {
  const committed: number[][] = [];
  const [again, abandoned]: [number[], number[]] = [[], []];
  /** The blocks that were committed each time the first stage had no more work. */
  const idleAt: number[][] = [];
  const numberOf = ({ offsets }: ConsumerBlock): number => offsets[0]?.offset ?? -1;
  const closing = new AbortController();
  const noteProgress = vi.fn();
  const stages = runStages<number>({
    later,
    openBlocksMax,
    noteProgress,
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
  return { stages, add, committed, again, abandoned, idleAt, noteProgress };
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

  test('a call gets at most the batches that a stage gathers', async () => {
    const stage = slowStage();
    const { add } = start([{ run: stage.run, gatherBatches: 2 }]);
    for (const number of [1, 2, 3, 4, 5]) add(number);
    for (const call of [0, 1]) {
      await moment();
      stage.calls[call]?.done();
    }
    await moment();
    expect(stage.calls.map(({ works }) => works)).toEqual([[1, 2], [3, 4], [5]]);
  });

  test('batches that wait since a call began are gathered for the full time after they arrived', async () => {
    const stage = slowStage();
    const { add } = start([{ run: stage.run, gatherBatches: 2 }], { isBehind: true });
    add(1);
    await vi.advanceTimersByTimeAsync(gatherMsMax - 100);
    for (const number of [2, 3]) add(number);
    await moment();
    stage.calls[0]?.done();
    await vi.advanceTimersByTimeAsync(gatherMsMax - 100);
    expect(stage.calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(stage.calls.map(({ works }) => works)).toEqual([[1, 2], [3]]);
  });

  test('a stage does not wait for more batches while so many are open that no further one can arrive', async () => {
    const [first, second] = [slowStage(), slowStage()];
    const { add } = start([{ run: first.run, gatherBatches: 2 }, second], {
      isBehind: true,
      openBlocksMax: 3,
    });
    for (const number of [1, 2]) add(number);
    await moment();
    first.calls[0]?.done();
    await moment();
    expect(second.calls.map(({ works }) => works)).toEqual([[1, 2]]);
    add(3);
    await moment();
    expect(first.calls.map(({ works }) => works)).toEqual([[1, 2], [3]]);
  });

  test('gathered batches are dropped at once when their partitions move', async () => {
    let isCurrent = true;
    const stage = slowStage();
    const { stages, add, abandoned } = start([{ run: stage.run, gatherBatches: 3 }], {
      isBehind: true,
      isCurrent: () => isCurrent,
    });
    add(1);
    await moment();
    isCurrent = false;
    stages.recheck();
    await moment();
    expect([abandoned, stages.isBusy(), stage.calls]).toEqual([[1], false, []]);
  });

  test('each completed call and each part of a long call is progress', async () => {
    let report: () => void = () => undefined;
    let done: () => void = () => undefined;
    const run = (_works: readonly number[], noteProgress: () => void): Promise<void> => {
      report = noteProgress;
      return new Promise((resolve) => (done = resolve));
    };
    const { add, noteProgress } = start([{ run }, slowStage()]);
    add(1);
    await moment();
    const times = [noteProgress.mock.calls.length];
    report();
    times.push(noteProgress.mock.calls.length);
    done();
    await moment();
    times.push(noteProgress.mock.calls.length);
    expect(times).toEqual([0, 1, 2]);
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

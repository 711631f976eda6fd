import { backoffMs, pause } from '../backoff.ts';
import type { ConsumerBlock } from './buffer.ts';
import { createChangeSignal } from './change-signal.ts';
import { createHandOver } from './hand-over.ts';
import type { HandOver } from './hand-over.ts';
import type { BatchHandler, ConsumedBatch, Handling } from './handling.ts';
import { attemptsMax, retryDelayMsMax } from './retry-policy.ts';
import type { Failure } from './retry-policy.ts';

/**
 * Handles batches in stages that work at the same time: while a later stage completes one batch, `begin` handles the
 * next one. A stage that is slower than the stage before it gets the work of several batches in one call.
 */
export interface BatchStages<Work> {
  /** The first stage. Handles one batch at a time, in order, and returns the work that remains for the later stages. */
  readonly begin: (batch: ConsumedBatch) => Promise<Work>;
  /** The later stages, in order. After the last one, the offsets of the batches are committed. */
  readonly later: readonly LaterStage<Work>[];
  /** Absent: the work of a batch never waits for later records. */
  readonly held?: HeldRecords;
}

/** Records whose handling waits for later records. */
export interface HeldRecords {
  /** Returns the lowest offset of a partition that waits; null if there is none. No offset after it is committed. */
  from(topic: string, partition: number): number | null;
  /** Returns the timestamp of the oldest record that waits, in Unix milliseconds; null if there is none. */
  oldestMs(): number | null;
  /**
   * Returns the milliseconds after which `begin` is called with an empty batch, if no record arrives before; null if no
   * record waits.
   */
  untilDueMs(): number | null;
  /**
   * Notes that all records which the partition had at this time (monotonic milliseconds) are in earlier batches or in
   * the batch that `begin` handles now or next.
   */
  noteReadToEnd(topic: string, partition: number, atMs: number): void;
}

export interface LaterStage<Work> {
  /**
   * Completes the work of one or more batches. It may be called again with the same work. A call that may last long notes
   * each completed part with `noteProgress`, so that it does not count as a stall.
   */
  readonly run: (works: readonly Work[], noteProgress: () => void) => Promise<void>;
  /** Shortest time between the starts of two calls. */
  readonly intervalMs?: number;
  /**
   * While a full batch waits for the first stage, a call waits until it has this many batches, at most for
   * `gatherMsMax`. So a consumer that is behind makes fewer calls. No call gets more batches. Absent: no call waits, and
   * each gets all batches that wait.
   */
  readonly gatherBatches?: number;
}

/** The longest time for which a stage gathers batches while the consumer is behind. */
export const gatherMsMax = 2_500;

/** A block that has passed the first stage. */
export interface BegunBlock<Work> {
  readonly block: ConsumerBlock;
  readonly works: readonly Work[];
}

export interface StagesOptions<Work> {
  readonly later: readonly LaterStage<Work>[];
  /** Handles a block again, with all stages for each part. Used when a stage fails for a reason that is no outage. */
  readonly handleAgain: Handling['handle'];
  /** No further block is handed over while this many blocks are neither committed nor abandoned. */
  readonly openBlocksMax: number;
  /** True while a full batch waits for the first stage. */
  readonly isBehind: () => boolean;
  /** Called when `isBusy` has become false. */
  readonly onIdle: () => void;
  readonly isCurrent: (block: ConsumerBlock) => boolean;
  readonly onFailure: (error: unknown, records: number) => Failure;
  /** Called when a stage has completed a call or a part of it. */
  readonly noteProgress: () => void;
  readonly onAbandoned: (block: ConsumerBlock) => void;
  /** Commits the offsets of blocks that have passed all stages. */
  readonly commit: (blocks: readonly ConsumerBlock[]) => Promise<void>;
  readonly closing: AbortSignal;
}

export interface Stages<Work> {
  /** Hands a block over to the later stages. */
  add(begun: BegunBlock<Work>): void;
  /** True while the first of the later stages has a block that it has not completed. */
  isBusy(): boolean;
  /** Notes that the result of `isCurrent` may have changed. */
  recheck(): void;
  /** Resolves when the later stages have at most `blocks` blocks that are not committed. */
  untilAtMost(blocks: number): Promise<void>;
  /** Resolves when every block that was handed over is committed or abandoned. */
  end(): Promise<void>;
}

/**
 * Runs the later stages. Blocks pass each stage in order, and offsets are committed in order. After a crash, all blocks
 * that were not committed are delivered again from the first stage on.
 */
export function runStages<Work>(options: StagesOptions<Work>): Stages<Work> {
  const { later, isCurrent, onFailure, noteProgress, closing } = options;
  const queues = [...later, null].map(() => createHandOver<BegunBlock<Work>>());
  let open = 0;
  /** Blocks that wait for the first of the later stages, or that it handles. */
  let entered = 0;
  const openChanged = createChangeSignal();
  closing.addEventListener('abort', () => openChanged.notify());
  const running = Promise.all([
    ...later.map((stage, index) => runStage(stage, queueOf(index), queueOf(index + 1))),
    runCommits(queueOf(later.length)),
  ]);

  return {
    add(begun) {
      open += 1;
      entered += 1;
      queueOf(0).push(begun);
    },
    isBusy: () => entered > 0,
    recheck() {
      for (const queue of queues) queue.recheck();
    },
    async untilAtMost(blocks) {
      while (open > blocks && !closing.aborted) await openChanged.wait();
    },
    async end() {
      queueOf(0).end();
      await running;
    },
  };

  function queueOf(index: number): HandOver<BegunBlock<Work>> {
    const queue = queues[index];
    if (queue === undefined) throw new RangeError(`there is no stage ${index}`);
    return queue;
  }

  async function runStage(
    stage: LaterStage<Work>,
    from: HandOver<BegunBlock<Work>>,
    to: HandOver<BegunBlock<Work>>,
  ): Promise<void> {
    let startedAt = -Infinity;
    const blocksMax = stage.gatherBatches ?? Infinity;
    for (;;) {
      const begun = await from.take(blocksMax, (waiting, sinceMs) =>
        closing.aborted
          ? 0
          : Math.max(
              startedAt + (stage.intervalMs ?? 0) - performance.now(),
              gatheringMs(stage, waiting, sinceMs),
            ),
      );
      if (begun === null) break;
      startedAt = performance.now();
      for (const one of await complete(stage, begun)) to.push(one);
      if (stage === later[0]) left(begun.length);
    }
    to.end();
  }

  /** Returns the time for which the stage still waits for further blocks. */
  function gatheringMs(
    { gatherBatches = 0 }: LaterStage<Work>,
    waiting: readonly BegunBlock<Work>[],
    sinceMs: number,
  ): number {
    if (waiting.length >= gatherBatches || !options.isBehind()) return 0;
    const canGetMore = open < options.openBlocksMax;
    const hasAbandoned = waiting.some(({ block }) => !isCurrent(block));
    return canGetMore && !hasAbandoned ? sinceMs + gatherMsMax - performance.now() : 0;
  }

  /** Returns the blocks that have passed the stage. The others are abandoned: their partitions have moved. */
  async function complete(
    stage: LaterStage<Work>,
    begun: readonly BegunBlock<Work>[],
  ): Promise<readonly BegunBlock<Work>[]> {
    // A block that is dropped once is not in the list of the next attempt, so `open` counts its end once.
    let current = begun;
    for (let attempt = 0; ; attempt += 1) {
      current = dropAbandoned(current);
      if (current.length === 0) return [];
      try {
        await stage.run(
          current.flatMap(({ works }) => works),
          noteProgress,
        );
        noteProgress();
        return current;
      } catch (error) {
        const failure = onFailure(
          error,
          current.reduce((sum, { block }) => sum + block.messages.length, 0),
        );
        if (failure !== 'outage' && attempt + 1 >= attemptsMax[failure]) return await handleEach(current);
        if (closing.aborted) return dropAll(current);
        await pause(backoffMs(attempt, retryDelayMsMax), closing);
      }
    }
  }

  /**
   * Handles each block again with all stages, so that the record that causes the failure is isolated. The first stage
   * handles a later block meanwhile. This is safe because the first stage has completed this block before: its writes are repeated,
   * as after a crash; that a later block has written meanwhile changes nothing.
   */
  async function handleEach(begun: readonly BegunBlock<Work>[]): Promise<readonly BegunBlock<Work>[]> {
    const handled: BegunBlock<Work>[] = [];
    for (const { block } of begun) {
      if (await options.handleAgain(block)) handled.push({ block, works: [] });
      else dropAll([{ block, works: [] }]);
    }
    return handled;
  }

  async function runCommits(from: HandOver<BegunBlock<Work>>): Promise<void> {
    for (;;) {
      const begun = await from.take(Infinity, () => 0);
      if (begun === null) return;
      const current = dropAbandoned(begun);
      if (current.length > 0) await options.commit(current.map(({ block }) => block));
      closed(current.length);
    }
  }

  function dropAbandoned(begun: readonly BegunBlock<Work>[]): readonly BegunBlock<Work>[] {
    dropAll(begun.filter(({ block }) => !isCurrent(block)));
    return begun.filter(({ block }) => isCurrent(block));
  }

  function dropAll(begun: readonly BegunBlock<Work>[]): readonly BegunBlock<Work>[] {
    for (const { block } of begun) options.onAbandoned(block);
    closed(begun.length);
    return [];
  }

  function left(blocks: number): void {
    entered -= blocks;
    if (entered === 0) options.onIdle();
  }

  function closed(blocks: number): void {
    open -= blocks;
    openChanged.notify();
  }
}

/** Returns a handler that runs all stages for one batch, one after the other. */
export function allStages<Work>(
  { begin, later }: BatchStages<Work>,
  noteProgress: () => void = () => undefined,
): BatchHandler {
  return async (batch) => {
    const work = await begin(batch);
    for (const { run } of later) {
      await run([work], noteProgress);
      noteProgress();
    }
    return undefined;
  };
}

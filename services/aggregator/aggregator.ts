import type { TouchedCells } from '../../shared/clickhouse/derive-totals.ts';
import type { RejectedMessage } from '../../shared/kafka/consumer/handling.ts';
import type { BatchStages } from '../../shared/kafka/consumer/stages.ts';
import type { ConsumedMessage } from '../../shared/kafka/message.ts';
import { traceBatch } from '../../shared/runtime/tracing/tracing.ts';
import type { Steps, Tracing } from '../../shared/runtime/tracing/tracing.ts';
import type { Announcer } from './announce.ts';
import type { RecordRejection } from './events/resolve.ts';
import { storeBlock } from './events/store-block.ts';
import type { StoreBlockOptions, StoredEvents } from './events/store-block.ts';
import { mergeTouched, touchedCells } from './events/touched-cells.ts';
import type { Touched } from './events/touched-cells.ts';
import { placeKey } from './place.ts';
import type { Progress } from './progress/progress.ts';

export interface AggregatorOptions extends StoreBlockOptions {
  readonly announcer: Announcer;
  readonly progress: Progress;
  /** Resolves once Kafka has the dead letters. */
  readonly writeDeadLetters: (rejected: readonly RejectedMessage[]) => Promise<void>;
  /** Absent: no traces. */
  readonly tracing?: Tracing | null;
  /** Shortest time between two announcements. */
  readonly announceIntervalMs?: number;
  /** While a full block waits for the first stage, totals of this many blocks are derived together, and never of more. */
  readonly deriveBlocks?: number;
}

/** A block whose events are stored. Its totals are not derived or not announced. */
export interface StoredBlock {
  readonly touched: Touched;
  /** Times of the events, Unix milliseconds. */
  readonly timesMs: readonly number[];
  readonly counts: { readonly rows: number; readonly dead: number; readonly repeats: number };
  /**
   * Offset after the last record of each partition. Null for a part of a block that failed: records before this part may
   * still wait, so the progress does not advance.
   */
  readonly nextOffsets: ReadonlyMap<number, number> | null;
  /** Blocks are numbered in the order in which they are stored. */
  readonly number: number;
  /** The span of the block. */
  readonly steps: Steps;
  /** Ends the span. */
  readonly end: () => void;
}

/**
 * store ‖ derive ‖ announce → commit. A block is one batch of records. Three stages work at the same time: while the
 * totals of one block are derived, the next block is stored. Every stage may run again with the same block, so a crash
 * between two steps costs only repeated work:
 *
 * 1. store. Decode: a pure function. A record that is no event becomes a dead letter; the other records of the block are
 *    processed. Resolve: finds repeated external ids and applies corrections. The place of the first record of each id
 *    is stored. If this record is read again after a crash, the stored place is its own, so it still counts as first.
 *    Insert: a row that is written twice is one row. After a crash the totals lack these events until the block is read
 *    again, because nothing is committed. Corrections are stored after the insert, so that each stored correction was
 *    applied. Dead letters: after a crash, one record may have two dead letters. Both name its offset. Blocks are stored
 *    one after the other, because a block may correct events of the blocks before it. A correction that arrives before
 *    its event waits in memory (`waiting-corrections.ts`), and its offset is not committed before it is applied.
 * 2. derive: computes the totals of every touched cell (tenant and minute) from the stored events. One run may cover
 *    several blocks, and may already count events of a block that is being stored.
 * 3. announce: sends the totals to Kafka; the newest announcement of a tenant counts.
 * 4. commit: the consumer commits the offsets of the blocks that were announced.
 */
export function createAggregator(options: AggregatorOptions): BatchStages<StoredBlock> {
  const { store, announcer, progress, writeDeadLetters, clock, metrics, waiting, deriveBlocks } = options;
  let blocksBegun = 0;

  return {
    begin: ({ messages, isPart }) => traced(messages, (steps) => storeEvents(messages, isPart, steps)),
    later: [
      { run: derive, ...(deriveBlocks === undefined ? {} : { gatherBatches: deriveBlocks }) },
      { run: announce, intervalMs: options.announceIntervalMs ?? 0 },
    ],
    held: {
      from: (_topic, partition) => waiting.heldFrom(partition),
      oldestMs: () => waiting.oldestMs(),
      untilDueMs: () => waiting.untilDueMs(),
      noteReadToEnd: (_topic, partition, atMs) => waiting.noteReadToEnd(partition, atMs),
    },
  };

  /** Runs the first stage in the span of the block, which ends after the last stage. */
  function traced(
    messages: readonly ConsumedMessage[],
    begin: (steps: Steps) => Promise<Omit<StoredBlock, 'steps' | 'end'>>,
  ): Promise<StoredBlock> {
    return new Promise((resolve, reject) => {
      const batch = { operation: 'process', topic: messages[0]?.topic ?? '', records: messages } as const;
      traceBatch(options.tracing ?? null, batch, async (steps) => {
        const stored = await begin(steps);
        await new Promise<void>((end) => {
          resolve({ ...stored, steps, end });
        });
      }).catch(reject);
    });
  }

  async function storeEvents(
    messages: readonly ConsumedMessage[],
    isPart: boolean,
    steps: Steps,
  ): Promise<Omit<StoredBlock, 'steps' | 'end'>> {
    const number = (blocksBegun += 1);
    const stored: StoredEvents = await steps.step('store events', () =>
      storeBlock(messages, options, isPart),
    );
    const { touched, timesMs, rejections, corrections, settled, expired, repeats } = stored;
    if (corrections.length > 0) await metrics.timed('insert', () => store.noteCorrections(corrections));
    const records = [...messages, ...[...settled, ...expired].map(({ message }) => message)];
    await metrics.timed('dead_letters', () => writeRejected(records, rejections));
    waiting.settle(settled, number);
    waiting.expire(expired, number);
    metrics.waiting(waiting.size());
    const nextOffsets = isPart
      ? null
      : new Map(messages.map(({ partition, offset }) => [partition, offset + 1]));
    const counts = { rows: timesMs.length, dead: rejections.length, repeats };
    return { touched, timesMs, counts, nextOffsets, number };
  }

  async function derive(blocks: readonly StoredBlock[], noteProgress: () => void): Promise<void> {
    await inSteps('derive totals', blocks, () =>
      metrics.timed('derive', () => deriveCells(touchedCells(mergedOf(blocks)), noteProgress)),
    );
    const nowMs = clock.now();
    for (const { nextOffsets, timesMs } of blocks) {
      for (const [partition, offset] of nextOffsets ?? []) progress.advance(partition, offset);
      metrics.visible(timesMs, nowMs);
    }
  }

  async function deriveCells(cells: readonly TouchedCells[], noteProgress: () => void): Promise<void> {
    for (const group of cells) await store.derive(group, noteProgress);
  }

  async function announce(blocks: readonly StoredBlock[]): Promise<void> {
    const traceparent = blocks.find(({ steps }) => steps.traceparent !== null)?.steps.traceparent ?? null;
    await inSteps('announce totals', blocks, () =>
      metrics.timed('announce', () => announcer.announce(mergedOf(blocks), traceparent)),
    );
    waiting.release(Math.max(...blocks.map(({ number }) => number)));
    for (const { counts, end } of blocks) {
      metrics.handled(counts);
      end();
    }
  }

  async function writeRejected(
    messages: readonly ConsumedMessage[],
    rejections: readonly RecordRejection[],
  ): Promise<void> {
    if (rejections.length === 0) return;
    const byPlace = new Map(messages.map((message) => [placeKey(message), message]));
    await writeDeadLetters(
      rejections.flatMap(({ reason, ...place }) => {
        const message = byPlace.get(placeKey(place));
        return message === undefined ? [] : [{ message, reason }];
      }),
    );
  }
}

/** Runs the work once, as a step in the span of each block. */
async function inSteps(
  name: string,
  blocks: readonly StoredBlock[],
  work: () => Promise<void>,
): Promise<void> {
  const running = work();
  await Promise.all([running, ...blocks.map(({ steps }) => steps.step(name, () => running))]);
}

function mergedOf(blocks: readonly StoredBlock[]): Touched {
  return mergeTouched(blocks.map(({ touched }) => touched));
}

import type { TouchedCells } from '../../shared/clickhouse/derive-totals.ts';
import type { RejectedMessage } from '../../shared/kafka/consumer/handling.ts';
import type { ConsumedMessage } from '../../shared/kafka/message.ts';
import { traceBatch } from '../../shared/runtime/tracing/tracing.ts';
import type { Steps, Tracing } from '../../shared/runtime/tracing/tracing.ts';
import { touchedTenants } from './announce.ts';
import type { Announcer } from './announce.ts';
import type { RecordRejection } from './events/resolve.ts';
import { storeBlock } from './events/store-block.ts';
import type { StoreBlockOptions } from './events/store-block.ts';
import { touchedBy } from './events/touched-cells.ts';
import type { Progress } from './progress/progress.ts';

export interface AggregatorOptions extends StoreBlockOptions {
  readonly announcer: Announcer;
  readonly progress: Progress;
  /** Resolves once Kafka has the dead letters. */
  readonly writeDeadLetters: (rejected: readonly RejectedMessage[]) => Promise<void>;
  /** Absent: no traces. */
  readonly tracing?: Tracing | null;
}

export interface Aggregator {
  /**
   * Handles one batch of events (a block). When the promise resolves, the offsets of the block may be committed; when
   * it rejects, the consumer must deliver the block again. With `isPart` (a part of a block that failed) the progress
   * does not advance, because records before this part may still wait.
   */
  handle(messages: readonly ConsumedMessage[], isPart?: boolean): Promise<void>;
}

/**
 * decode → resolve → insert → derive → announce → commit. A block is one batch of records. Every step may run again
 * with the same block, so a crash between two steps costs only repeated work:
 *
 * 1. decode: a pure function. A record that is no event becomes a dead letter; the other records of the block are
 *    processed.
 * 2. resolve: finds repeated external ids and applies corrections. The place of the first record of each id
 *    is stored. If this record is read again after a crash, the stored place is its own, so it still counts as first.
 * 3. insert: a row that is written twice is one row. After a crash the totals lack these events until the block is read
 *    again, because nothing is committed. Corrections are stored after the insert, so that each stored correction was
 *    applied.
 * 4. dead letters: after a crash, one record may have two dead letters. Both name its offset.
 * 5. derive: computes the totals of every touched cell (tenant and minute) from the stored events.
 * 6. announce: sends the totals to Kafka; the newest announcement of a tenant counts.
 * 7. commit: the consumer commits the offsets when the promise of this function resolves.
 */
export function createAggregator(options: AggregatorOptions): Aggregator {
  const { store, announcer, progress, writeDeadLetters, clock, metrics, tracing = null } = options;

  return {
    handle: (messages, isPart = false) =>
      traceBatch(
        tracing,
        { operation: 'process', topic: messages[0]?.topic ?? '', records: messages },
        (steps) => handleBlock(messages, isPart, steps),
      ),
  };

  async function handleBlock(
    messages: readonly ConsumedMessage[],
    isPart: boolean,
    steps: Steps,
  ): Promise<void> {
    const { events, rejections, corrections, repeats } = await steps.step('store events', () =>
      storeBlock(messages, options),
    );
    if (corrections.length > 0) await metrics.timed('insert', () => store.noteCorrections(corrections));
    await metrics.timed('dead_letters', () => writeRejected(messages, rejections));
    await steps.step('derive totals', () => metrics.timed('derive', () => derive(touchedBy(events))));
    if (!isPart) for (const { partition, offset } of messages) progress.advance(partition, offset + 1);
    await steps.step('announce totals', () =>
      metrics.timed('announce', () => announcer.announce(touchedTenants(events), steps.traceparent)),
    );
    metrics.handled(events, { dead: rejections.length, repeats }, clock.now());
  }

  async function derive(touched: readonly TouchedCells[]): Promise<void> {
    for (const cells of touched) await store.derive(cells);
  }

  async function writeRejected(
    messages: readonly ConsumedMessage[],
    rejections: readonly RecordRejection[],
  ): Promise<void> {
    if (rejections.length === 0) return;
    const byPlace = new Map(messages.map((message) => [placeOf(message), message]));
    await writeDeadLetters(
      rejections.flatMap(({ reason, ...place }) => {
        const message = byPlace.get(placeOf(place));
        return message === undefined ? [] : [{ message, reason }];
      }),
    );
  }
}

function placeOf({ partition, offset }: { readonly partition: number; readonly offset: number }): string {
  return `${partition}:${offset}`;
}

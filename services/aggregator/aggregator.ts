import type { TouchedCells } from '../../shared/clickhouse/derive.ts';
import type { ConsumedMessage } from '../../shared/kafka/message.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Announcer } from './announce.ts';
import { decode } from './decode.ts';
import type { DecodeBounds } from './decode.ts';
import type { EventStore } from './event-store.ts';
import type { AggregatorMetrics } from './metrics.ts';
import type { Progress } from './progress.ts';
import { resolve } from './resolve.ts';
import type { Burial } from './resolve.ts';
import type { StoredEvent } from './stored-event.ts';

export interface AggregatorOptions {
  readonly store: EventStore;
  readonly announcer: Announcer;
  readonly progress: Progress;
  /** Resolves once the dead letters are safe. */
  readonly bury: (messages: readonly BuriedMessage[]) => Promise<void>;
  readonly clock: Clock;
  readonly bounds: DecodeBounds;
  readonly metrics: AggregatorMetrics;
}

export interface BuriedMessage {
  readonly message: ConsumedMessage;
  readonly reason: string;
}

export interface Aggregator {
  /** Handles one block. When it resolves the block may be committed; when it rejects the block must come again. */
  handle(messages: readonly ConsumedMessage[]): Promise<void>;
}

/**
 * decode → insert → derive → announce → commit. Each step may be repeated at will, so a crash between any two costs
 * nothing but work:
 *
 * 1. decode: pure. What cannot be read becomes a dead letter, the rest of the block goes on.
 * 2. resolve: the first place of ids of somebody else, corrections. A crash after it leaves places on record that
 *    the same records will find to be their own.
 * 3. insert: a row written twice is one row. A crash after it leaves events that the totals lack until the block
 *    comes again, which it does, as nothing is committed.
 * 4. bury: a dead letter may be written twice; it names the place it came from.
 * 5. derive: the totals of every touched cell, computed anew.
 * 6. announce: what the totals now are; the newest announcement of a tenant is the one that counts.
 * 7. commit: by the consumer, once this resolves.
 */
export function createAggregator(options: AggregatorOptions): Aggregator {
  const { store, announcer, progress, bury, clock, bounds, metrics } = options;

  return {
    async handle(messages) {
      const decoded = await metrics.timed('decode', () => decodeAll(messages));
      const { events, burials, repeats } = await metrics.timed('resolve', () => resolve(decoded, store));
      const refused = await metrics.timed('insert', () => insert(events));
      const dead = [...burials, ...refused.map(({ event, reason }) => ({ ...placeOf(event), reason }))];
      await metrics.timed('bury', () => buryAll(messages, dead));
      const touched = touchedBy(events);
      await metrics.timed('derive', () => derive(touched));
      for (const { partition, offset } of messages) progress.advance(partition, offset + 1);
      await metrics.timed('announce', () => announcer.announce(tenantsOf(events)));
      metrics.handled(events, { dead: dead.length, repeats }, clock.now());
    },
  };

  function decodeAll(messages: readonly ConsumedMessage[]): ReturnType<typeof decodedOf>[] {
    const nowMs = clock.now();
    return messages.map((record) => decodedOf(record, nowMs));
  }

  function decodedOf(record: ConsumedMessage, nowMs: number) {
    return { record, decoded: decode(record, nowMs, bounds) };
  }

  function insert(events: readonly StoredEvent[]): ReturnType<EventStore['insert']> {
    return events.length === 0 ? Promise.resolve([]) : store.insert(events);
  }

  async function derive(touched: TouchedCells): Promise<void> {
    if (touched.minutes.size > 0) await store.derive(touched);
  }

  async function buryAll(messages: readonly ConsumedMessage[], dead: readonly Burial[]): Promise<void> {
    if (dead.length === 0) return;
    const byPlace = new Map(messages.map((message) => [key(message), message]));
    await bury(
      dead.flatMap(({ reason, ...place }) => {
        const message = byPlace.get(key(place));
        return message === undefined ? [] : [{ message, reason }];
      }),
    );
  }
}

function touchedBy(events: readonly StoredEvent[]): TouchedCells {
  const tenantIds = new Set<string>();
  const minutes = new Set<number>();
  for (const { tenantId, timeMs } of events) {
    tenantIds.add(tenantId);
    minutes.add(timeMs - (timeMs % 60_000));
  }
  return { tenantIds, minutes };
}

function tenantsOf(events: readonly StoredEvent[]): ReadonlyMap<string, number> {
  return new Map(events.map(({ tenantId, partition }) => [tenantId, partition]));
}

function placeOf({ partition, offset }: { readonly partition: number; readonly offset: number }): {
  partition: number;
  offset: number;
} {
  return { partition, offset };
}

function key({ partition, offset }: { readonly partition: number; readonly offset: number }): string {
  return `${partition}:${offset}`;
}

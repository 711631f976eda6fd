import { setImmediate as turnOfLoop } from 'node:timers/promises';
import type { TouchedCells } from '../../shared/clickhouse/derive.ts';
import type { TimeBounds } from '../../shared/domain/events/bounds.ts';
import type { ConsumedMessage } from '../../shared/kafka/message.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Announcer, TouchedTenant } from './announce.ts';
import { decode } from './events/decode.ts';
import type { StoredCorrection } from './events/decode.ts';
import type { EventStore, RefusedEvent } from './events/event-store.ts';
import type { AggregatorMetrics } from './metrics.ts';
import type { Progress } from './progress/progress.ts';
import { resolve } from './events/resolve.ts';
import type { Burial } from './events/resolve.ts';
import type { StoredEvent } from './events/stored-event.ts';
import { touchedBy } from './events/touched-cells.ts';

export interface AggregatorOptions {
  readonly store: EventStore;
  readonly announcer: Announcer;
  readonly progress: Progress;
  /** Resolves once the dead letters are safe. */
  readonly bury: (messages: readonly BuriedMessage[]) => Promise<void>;
  readonly clock: Clock;
  readonly bounds: TimeBounds;
  readonly metrics: AggregatorMetrics;
  /** Records of a block that are decoded while those before them are being inserted. */
  readonly pieceRecordsMax?: number;
}

export interface BuriedMessage {
  readonly message: ConsumedMessage;
  readonly reason: string;
}

export interface Aggregator {
  /**
   * Handles one block. When it resolves the block may be committed; when it rejects the block must come again. Of a part of
   * one it claims nothing: records before it may still wait.
   */
  handle(messages: readonly ConsumedMessage[], isPart?: boolean): Promise<void>;
}

/** What became of a block. */
interface Stored {
  readonly events: readonly StoredEvent[];
  readonly dead: readonly Burial[];
  readonly corrections: readonly StoredCorrection[];
  readonly repeats: number;
}

/**
 * decode → insert → derive → announce → commit. Each step may be repeated at will, so a crash between any two costs
 * nothing but work:
 *
 * 1. decode: pure. What cannot be read becomes a dead letter, the rest of the block goes on.
 * 2. resolve: the first place of ids of somebody else, corrections. A crash after it leaves places on record that
 *    the same records will find to be their own.
 * 3. insert: a row written twice is one row. Large blocks go through 1 to 3 in pieces. A crash after it leaves events
 *    that the totals lack until the block comes again, which it does, as nothing is committed. Corrections are noted
 *    after it: a note never stands for one that was not applied.
 * 4. bury: a dead letter may be written twice; it names the place it came from.
 * 5. derive: the totals of every touched cell, computed anew.
 * 6. announce: what the totals now are; the newest announcement of a tenant is the one that counts.
 * 7. commit: by the consumer, once this resolves.
 */
export function createAggregator(options: AggregatorOptions): Aggregator {
  const { store, announcer, progress, bury, clock, bounds, metrics, pieceRecordsMax = 20_000 } = options;

  return {
    async handle(messages, isPart = false) {
      const { events, dead, corrections, repeats } = await storeAll(messages);
      if (corrections.length > 0) await metrics.timed('insert', () => store.noteCorrections(corrections));
      await metrics.timed('bury', () => buryAll(messages, dead));
      const touched = touchedBy(events);
      await metrics.timed('derive', () => derive(touched));
      if (!isPart) for (const { partition, offset } of messages) progress.advance(partition, offset + 1);
      await metrics.timed('announce', () => announcer.announce(tenantsOf(events)));
      metrics.handled(events, { dead: dead.length, repeats }, clock.now());
    },
  };

  /**
   * Decodes and inserts the block in pieces: while ClickHouse takes one the next is decoded, so that neither waits for
   * the other. One insert is under way at a time. A piece that asks the store about earlier events (corrections, ids
   * of others) waits for the pieces before it, so that it finds what a block in one piece would have found.
   */
  async function storeAll(messages: readonly ConsumedMessage[]): Promise<Stored> {
    const events: StoredEvent[] = [];
    const dead: Burial[] = [];
    const corrections: StoredCorrection[] = [];
    let repeats = 0;
    let inserting = insert([]);
    for (let start = 0; start < messages.length; start += pieceRecordsMax) {
      const piece = messages.slice(start, start + pieceRecordsMax);
      const decoded = await metrics.timed('decode', () => decodeAll(piece));
      const asks = decoded.some(({ decoded: { kind } }) => kind === 'correction' || kind === 'external');
      if (asks) await inserting;
      const resolved = await metrics.timed('resolve', () => resolve(decoded, store));
      dead.push(...resolved.burials, ...refusals(await inserting));
      for (const event of resolved.events) events.push(event);
      for (const correction of resolved.corrections) corrections.push(correction);
      repeats += resolved.repeats;
      inserting = metrics.timed('insert', () => insert(resolved.events));
      // A failure is thrown where it is awaited; until then it is nobody's.
      inserting.catch(() => undefined);
      // Lets the insert leave the process before the processor is busy with the next piece.
      if (start + pieceRecordsMax < messages.length) await turnOfLoop();
    }
    dead.push(...refusals(await inserting));
    return { events, dead, corrections, repeats };
  }

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

  async function derive(touched: readonly TouchedCells[]): Promise<void> {
    for (const cells of touched) await store.derive(cells);
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

function refusals(refused: readonly RefusedEvent[]): Burial[] {
  return refused.map(({ event: { partition, offset }, reason }) => ({ partition, offset, reason }));
}

function tenantsOf(events: readonly StoredEvent[]): ReadonlyMap<string, TouchedTenant> {
  const tenants = new Map<string, { partition: number; degradedSinceMs: number | null }>();
  for (const { tenantId, partition, degraded, decision, timeMs } of events) {
    let tenant = tenants.get(tenantId);
    if (tenant === undefined) tenants.set(tenantId, (tenant = { partition, degradedSinceMs: null }));
    tenant.partition = partition;
    // What was refused consumed nothing.
    if (!degraded || decision === 'limited') continue;
    tenant.degradedSinceMs = Math.min(tenant.degradedSinceMs ?? Infinity, timeMs);
  }
  return tenants;
}

function key({ partition, offset }: { readonly partition: number; readonly offset: number }): string {
  return `${partition}:${offset}`;
}

import { setImmediate as nextIteration } from 'node:timers/promises';
import type { TimeBounds } from '../../../shared/domain/events/bounds.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { AggregatorMetrics } from '../metrics.ts';
import { decode } from './decode.ts';
import type { StoredCorrection } from './decode.ts';
import type { EventStore, RefusedEvent } from './event-store.ts';
import { resolve } from './resolve.ts';
import type { DecodedRecord, RecordRejection } from './resolve.ts';
import type { StoredEvent } from './stored-event.ts';

export interface StoreBlockOptions {
  readonly store: EventStore;
  readonly clock: Clock;
  readonly bounds: TimeBounds;
  readonly metrics: AggregatorMetrics;
  /** Number of records in a piece of a block. One piece is decoded while the piece before it is inserted. */
  readonly pieceRecordsMax?: number;
}

/** The result of a block after its events are stored in ClickHouse. */
export interface StoredBlock {
  readonly events: readonly StoredEvent[];
  readonly rejections: readonly RecordRejection[];
  readonly corrections: readonly StoredCorrection[];
  readonly repeats: number;
}

/**
 * Decodes, resolves and inserts a block in pieces: while ClickHouse processes one piece, the next piece is decoded. One
 * insert is in progress at a time. A piece that reads earlier events from the store (for corrections or external ids)
 * waits until all pieces before it are inserted, so that the result is the same as without pieces.
 */
export async function storeBlock(
  messages: readonly ConsumedMessage[],
  options: StoreBlockOptions,
): Promise<StoredBlock> {
  const { store, metrics, pieceRecordsMax = 20_000 } = options;
  const events: StoredEvent[] = [];
  const rejections: RecordRejection[] = [];
  const corrections: StoredCorrection[] = [];
  let repeats = 0;
  let inserting = Promise.resolve<readonly RefusedEvent[]>([]);
  for (let start = 0; start < messages.length; start += pieceRecordsMax) {
    const piece = messages.slice(start, start + pieceRecordsMax);
    const decoded = await metrics.timed('decode', () => decodePiece(piece, options));
    if (decoded.some(readsStore)) await inserting;
    const resolved = await metrics.timed('resolve', () => resolve(decoded, store));
    rejections.push(...resolved.rejections, ...rejectionsOf(await inserting));
    for (const event of resolved.events) events.push(event);
    for (const correction of resolved.corrections) corrections.push(correction);
    repeats += resolved.repeats;
    inserting = metrics.timed('insert', () => insert(resolved.events, store));
    // The failure is thrown later, where this promise is awaited. Without a handler until then, Node would end the
    // process.
    inserting.catch(() => undefined);
    // Lets Node send the insert before the decoding of the next piece occupies the event loop.
    if (start + pieceRecordsMax < messages.length) await nextIteration();
  }
  rejections.push(...rejectionsOf(await inserting));
  return { events, rejections, corrections, repeats };
}

function decodePiece(
  messages: readonly ConsumedMessage[],
  { clock, bounds }: StoreBlockOptions,
): DecodedRecord[] {
  const nowMs = clock.now();
  return messages.map((record) => ({ record, decoded: decode(record, nowMs, bounds) }));
}

function readsStore({ decoded: { kind } }: DecodedRecord): boolean {
  return kind === 'correction' || kind === 'external';
}

async function insert(events: readonly StoredEvent[], store: EventStore): Promise<readonly RefusedEvent[]> {
  return events.length === 0 ? [] : store.insert(events);
}

function rejectionsOf(refused: readonly RefusedEvent[]): RecordRejection[] {
  return refused.map(({ event: { partition, offset }, reason }) => ({ partition, offset, reason }));
}

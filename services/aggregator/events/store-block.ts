import { setImmediate as nextIteration } from 'node:timers/promises';
import type { TimeBounds } from '../../../shared/domain/events/bounds.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { WaitingCorrection, WaitingCorrections } from '../corrections/waiting-corrections.ts';
import type { AggregatorMetrics } from '../metrics.ts';
import { decode } from './decode.ts';
import type { StoredCorrection } from './decode.ts';
import { encodeChunk } from './event-chunk.ts';
import type { EventChunk } from './event-chunk.ts';
import type { EventStore, RefusedEvent } from './event-store.ts';
import { resolve } from './resolve.ts';
import type { DecodedRecord, RecordRejection } from './resolve.ts';
import type { StoredEvent } from './stored-event.ts';
import { createTouchedCollector } from './touched-cells.ts';
import type { Touched } from './touched-cells.ts';

export interface StoreBlockOptions {
  readonly store: EventStore;
  readonly clock: Clock;
  readonly bounds: TimeBounds;
  readonly metrics: AggregatorMetrics;
  readonly waiting: WaitingCorrections;
  /** Number of records in a piece of a block. One piece is decoded while the piece before it is inserted. */
  readonly pieceRecordsMax?: number;
  /** Number of records that are decoded and encoded at a time. */
  readonly chunkRecordsMax?: number;
}

/** The result of a block after its events are stored in ClickHouse. */
export interface StoredEvents {
  readonly touched: Touched;
  /** The times of the events, Unix milliseconds. */
  readonly timesMs: readonly number[];
  readonly rejections: readonly RecordRejection[];
  readonly corrections: readonly StoredCorrection[];
  /** Corrections that waited before and are applied now, or rejected by their event. */
  readonly settled: readonly WaitingCorrection[];
  /** Corrections that waited before and are dead letters now, because no event arrived in time. */
  readonly expired: readonly WaitingCorrection[];
  readonly repeats: number;
}

/**
 * Decodes, resolves and inserts a block in pieces: while ClickHouse processes one piece, the next piece is decoded. One
 * insert is in progress at a time. Records that read earlier events from the store (corrections and external ids) wait
 * until all records before them are inserted, so that the result is the same as without pieces.
 *
 * Corrections whose wait is over are handled after all records, because the block may contain their events. A part of a
 * block leaves them to the next block, because their events may be in another part.
 */
export async function storeBlock(
  messages: readonly ConsumedMessage[],
  options: StoreBlockOptions,
  isPart = false,
): Promise<StoredEvents> {
  const { store, metrics, waiting, pieceRecordsMax = 20_000, chunkRecordsMax = 2_000 } = options;
  const collector = createTouchedCollector();
  const timesMs: number[] = [];
  const rejections: RecordRejection[] = [];
  const corrections: StoredCorrection[] = [];
  const settled: WaitingCorrection[] = [];
  const expired: WaitingCorrection[] = [];
  const epoch = waiting.epoch();
  let repeats = 0;
  let chunks: EventChunk[] = [];
  let inserting = Promise.resolve<readonly RefusedEvent[]>([]);
  for (let start = 0; start < messages.length; start += pieceRecordsMax) {
    const end = Math.min(messages.length, start + pieceRecordsMax);
    /** Records from the first one on that reads the store. */
    const reading: DecodedRecord[] = [];
    for (let from = start; from < end; from += chunkRecordsMax) {
      const records = messages.slice(from, Math.min(end, from + chunkRecordsMax));
      const decoded = await metrics.timed('decode', () => decodeRecords(records, options));
      if (reading.length > 0 || decoded.some((record) => readsStore(record, waiting))) {
        for (const record of decoded) reading.push(record);
      } else {
        add(requestsOf(decoded, rejections), () => requestsOf(decodeRecords(records, options), []));
      }
      // Lets Node send the insert and heartbeats before the decoding of the next chunk occupies the event loop.
      if (from + chunkRecordsMax < messages.length) await nextIteration();
    }
    if (reading.length > 0) await resolveRecords(reading, []);
    await insertChunks();
  }
  if (!isPart) await resolveDue();
  noteRefused(await inserting);
  return { touched: collector.touched, timesMs, rejections, corrections, settled, expired, repeats };

  async function resolveDue(): Promise<void> {
    waiting.noteRead(messages);
    const done = new Set(settled);
    const due = waiting.due().filter((one) => !done.has(one));
    if (due.length === 0) return;
    await resolveRecords([], due);
    await insertChunks();
  }

  async function resolveRecords(
    records: readonly DecodedRecord[],
    dueNow: readonly WaitingCorrection[],
  ): Promise<void> {
    await insertChunks();
    await inserting;
    const resolved = await metrics.timed('resolve', () =>
      resolve(records, store, { corrections: waiting, epoch, due: dueNow }, corrections),
    );
    for (const rejection of resolved.rejections) rejections.push(rejection);
    for (const correction of resolved.corrections) corrections.push(correction);
    for (const one of resolved.settled) settled.push(one);
    for (const one of resolved.expired) expired.push(one);
    repeats += resolved.repeats;
    add(resolved.events, () => resolved.events);
  }

  function add(events: readonly StoredEvent[], eventsAgain: () => readonly StoredEvent[]): void {
    if (events.length === 0) return;
    collector.add(events);
    for (const { timeMs } of events) timesMs.push(timeMs);
    chunks.push(encodeChunk(events, options.clock.now(), eventsAgain));
  }

  /** Starts the insert of the chunks once the insert before it is done. */
  async function insertChunks(): Promise<void> {
    if (chunks.length === 0) return;
    noteRefused(await inserting);
    const added = chunks;
    chunks = [];
    inserting = metrics.timed('insert', () => store.insert(added));
    // The failure is thrown later, where this promise is awaited. Without a handler until then, Node would end the
    // process.
    inserting.catch(() => undefined);
  }

  function noteRefused(refused: readonly RefusedEvent[]): void {
    for (const { event, reason } of refused) {
      rejections.push({ partition: event.partition, offset: event.offset, reason });
    }
  }
}

function decodeRecords(
  messages: readonly ConsumedMessage[],
  { clock, bounds }: StoreBlockOptions,
): DecodedRecord[] {
  const nowMs = clock.now();
  return messages.map((record) => ({ record, decoded: decode(record, nowMs, bounds) }));
}

/** True for records that need earlier events, and for events for which corrections wait. */
function readsStore({ record, decoded }: DecodedRecord, waiting: WaitingCorrections): boolean {
  if (decoded.kind === 'correction' || decoded.kind === 'external') return true;
  return decoded.kind === 'request' && waiting.of(decoded.event, record.timestampMs).length > 0;
}

/** Returns the events of records that do not read the store. Adds the records that are no events to `rejections`. */
function requestsOf(records: readonly DecodedRecord[], rejections: RecordRejection[]): StoredEvent[] {
  const events: StoredEvent[] = [];
  for (const { record, decoded } of records) {
    if (decoded.kind === 'request') events.push(decoded.event);
    else if (decoded.kind === 'dead') {
      rejections.push({ partition: record.partition, offset: record.offset, reason: decoded.reason });
    }
  }
  return events;
}

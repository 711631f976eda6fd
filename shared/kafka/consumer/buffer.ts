import type { UnreadableEntry } from '../kafkajs/decoding/log-entry.ts';
import { partitionKey } from '../kafkajs/session/fetched.ts';
import type { Fetched, TopicPartitionOffset } from '../kafkajs/session/fetched.ts';
import type { ConsumedMessage } from '../message.ts';
import { createChangeSignal } from './change-signal.ts';

/**
 * Records that were fetched in one generation of the consumer group, and the offsets to commit once they are handled.
 */
export interface ConsumerBlock {
  readonly messages: readonly ConsumedMessage[];
  readonly unreadable: readonly UnreadableBatch[];
  readonly offsets: readonly TopicPartitionOffset[];
  readonly generation: number;
}

export interface UnreadableBatch extends UnreadableEntry {
  readonly topic: string;
  readonly partition: number;
}

/**
 * Fetched records that are not handled yet. Merges the records of all partitions into blocks (batches), and holds about
 * two blocks at most.
 */
export interface ConsumerBuffer {
  add(fetched: Fetched): void;
  /** Waits while the buffer is full, and sends heartbeats meanwhile. */
  waitForRoom(heartbeat: () => Promise<void>): Promise<void>;
  /**
   * Returns the next block once it is full or due. After a pause, a block is due a moment after its first record. Then
   * blocks follow each other at intervals of `lingerMs`, or at shorter intervals if many records arrive. No record waits
   * longer than `lingerMs`, unless `isBusy` returns true: while a later stage could not begin with the block, only a full
   * block is returned, so that the later stage gets more records in one call. Returns an empty block if none is due for
   * `waitMsMax`. Returns null once the signal is aborted.
   */
  next(waitMsMax?: number, isBusy?: () => boolean): Promise<ConsumerBlock | null>;
  /** Notes that the result of `isBusy` may have changed. */
  recheck(): void;
  /** Removes a block that is committed or abandoned. */
  finish(block: ConsumerBlock): void;
  /** Drops all records, because their partitions were revoked or because the records will be fetched again. */
  beginGeneration(): void;
  isCurrent(block: ConsumerBlock): boolean;
  /** True while a full block waits: the handler is slower than the fetches. */
  isFull(): boolean;
  records(): number;
  /** Returns the timestamp of the oldest record that is buffered or being handled; null if there is none. */
  oldestMs(): number | null;
}

export interface ConsumerBufferOptions {
  readonly batchRecordsMax: number;
  readonly batchBytesMax: number;
  readonly lingerMs: number;
  readonly signal: AbortSignal;
}

const heartbeatIntervalMs = 500;

/** Share of `lingerMs` for which the first record after a pause waits, because records of other partitions follow it. */
const gatherShare = 0.1;
/**
 * With this many records, a block is worth its fixed cost after this share of `lingerMs`. A trickle of records makes few
 * blocks.
 */
const busyRecords = 64;
const busyIntervalShare = 0.4;

export function createConsumerBuffer(options: ConsumerBufferOptions): ConsumerBuffer {
  const { batchRecordsMax, batchBytesMax, lingerMs, signal } = options;
  let generation = 0;
  let queue: { fetched: Fetched; arrivedAt: number; bytes: number }[] = [];
  let records = 0;
  let bytes = 0;
  /** Blocks that are being handled, or are handled and not committed. */
  const open = new Set<ConsumerBlock>();
  /** Time at which the last block was returned. */
  let cutAt = -Infinity;
  const [changed, roomChanged] = [createChangeSignal(), createChangeSignal()];
  signal.addEventListener('abort', () => {
    changed.notify();
    roomChanged.notify();
  });

  return {
    add(fetched) {
      const size =
        fetched.messages.reduce((sum, message) => sum + bytesOf(message), 0) +
        fetched.unreadable.reduce((sum, batch) => sum + batch.bytes.length, 0);
      queue.push({ fetched, arrivedAt: performance.now(), bytes: size });
      records += fetched.messages.length;
      bytes += size;
      changed.notify();
    },
    async waitForRoom(heartbeat) {
      const current = generation;
      while (isFull() && current === generation && !signal.aborted) {
        await roomChanged.wait(heartbeatIntervalMs);
        await heartbeat();
      }
    },
    async next(waitMsMax = Infinity, isBusy = () => false) {
      const latest = performance.now() + waitMsMax;
      for (;;) {
        if (signal.aborted) return null;
        const dueMs = isBusy() && !isFull() ? Infinity : untilDueMs();
        const waitMs = Math.min(dueMs, latest - performance.now());
        if (waitMs <= 0 && dueMs > 0) return { messages: [], unreadable: [], offsets: [], generation };
        if (waitMs <= 0) {
          const block = cutBlock();
          cutAt = performance.now();
          roomChanged.notify();
          open.add(block);
          return block;
        }
        await changed.wait(waitMs);
      }
    },
    recheck: () => changed.notify(),
    finish(block) {
      open.delete(block);
    },
    beginGeneration() {
      generation += 1;
      open.clear();
      queue = [];
      records = bytes = 0;
      changed.notify();
      roomChanged.notify();
    },
    isCurrent: (block) => block.generation === generation,
    isFull,
    records: () => records,
    oldestMs() {
      const heads = [
        ...[...open].map(({ messages }) => messages[0]),
        ...queue.map(({ fetched }) => fetched.messages[0]),
      ];
      const times = heads.flatMap((message) => message?.timestampMs ?? []);
      return times.length === 0 ? null : Math.min(...times);
    },
  };

  function isFull(): boolean {
    return records >= batchRecordsMax || bytes >= batchBytesMax;
  }

  function untilDueMs(): number {
    const first = queue[0];
    if (first === undefined) return Infinity;
    if (isFull()) return 0;
    const latest = first.arrivedAt + lingerMs;
    const interval = lingerMs * (records < busyRecords ? 1 : busyIntervalShare);
    const earliest = Math.max(first.arrivedAt + lingerMs * gatherShare, cutAt + interval);
    return Math.min(latest, earliest) - performance.now();
  }

  /**
   * Removes complete fetches from the queue, at least one, until the block is full. A fetch has at most
   * `partitionBytesMax` bytes, so the size of a block is bounded.
   */
  function cutBlock(): ConsumerBlock {
    const messages: ConsumedMessage[] = [];
    const unreadable: UnreadableBatch[] = [];
    const offsets = new Map<string, TopicPartitionOffset>();
    let size = 0;
    let count = 0;
    for (const { fetched, bytes: fetchedBytes } of queue) {
      const recordsAfter = messages.length + fetched.messages.length;
      if (count > 0 && (recordsAfter > batchRecordsMax || size + fetchedBytes > batchBytesMax)) break;
      for (const message of fetched.messages) messages.push(message);
      const { topic, partition, commitOffset } = fetched;
      for (const batch of fetched.unreadable) unreadable.push({ ...batch, topic, partition });
      offsets.set(partitionKey(topic, partition), { topic, partition, offset: commitOffset });
      size += fetchedBytes;
      count += 1;
    }
    queue.splice(0, count);
    records -= messages.length;
    bytes -= size;
    return { messages, unreadable, offsets: [...offsets.values()], generation };
  }
}

/** Approximate size of a record in memory: each character of its key and headers counts as one byte. */
function bytesOf({ key, value, headers }: ConsumedMessage): number {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0);
  for (const name in headers) bytes += name.length + (headers[name]?.length ?? 0);
  return bytes;
}

import type { EachBatchPayload, Offsets } from 'kafkajs';
import { TollgateError } from '../../../runtime/errors.ts';
import { observe, watchPulse } from './heartbeat.ts';
import { within, withinOr } from '../../../runtime/within.ts';
import type { LogEntry, UnreadableEntry } from '../decoding/log-entry.ts';
import type { Kafka } from '../kafka.ts';
import { fetchedOffsetOf, watchGenerations } from './generations.ts';
import { consumedMessage } from '../../message.ts';
import type { ConsumedMessage } from '../../message.ts';
import { createTransactionHold } from './transactions.ts';
import type { TransactionHold } from './transactions.ts';

export interface TopicPartitionOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** What one fetch brought of one partition. */
export interface Fetched {
  readonly topic: string;
  readonly partition: number;
  readonly messages: readonly ConsumedMessage[];
  /** What could not be decoded. */
  readonly unreadable: readonly UnreadableEntry[];
  /** Where to read on: behind the last record, also behind those that compaction took. */
  readonly nextOffset: number;
  /** What may be committed when this and all before it is handled: `nextOffset`, or where a transaction is open. */
  readonly commitOffset: number;
}

export interface SessionHandlers {
  /** Partitions by topic; whatever was assigned before is not this member's any more. */
  readonly onAssigned: (assignment: ReadonlyMap<string, readonly number[]>) => void;
  /** Nothing is this member's until the next `onAssigned`. */
  readonly onRevoked: () => void;
  readonly onFetched: (fetched: Fetched) => void;
  /**
   * Resolves when more may be fetched. Must not wait long without calling `heartbeat`, and has to pass on what that
   * throws: it is how a rebalance makes itself heard.
   */
  readonly room: (heartbeat: () => Promise<void>) => Promise<void>;
}

export interface SessionOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly sessionTimeoutMs: number;
  readonly fetchBytesMax: number;
  readonly partitionBytesMax: number;
  /** So soon a partition that was added is read. */
  readonly metadataMaxAgeMs?: number;
  /**
   * Keeps records of a transaction back until it is committed; those of an aborted one are left out. Absent: records are
   * handed over as they stand, for topics that Tollgate alone writes, without transactions.
   */
  readonly transactions?: { readonly onOverflow: (records: number) => void };
}

/** One life of a kafkajs consumer. When it ends for whatever reason, another is made; it is never revived. */
export interface ConsumerSession {
  /** Resolves when the consumer can do nothing more, with the reason. */
  readonly ended: Promise<Error>;
  commit(offsets: readonly TopicPartitionOffset[]): Promise<void>;
  /** True while records are kept back because their transaction is open. */
  isHolding(): boolean;
  stop(): Promise<void>;
}

const fetchWaitMs = 500;
const stopTimeoutMs = 3_000;
/** More than the partitions a member may have, so that those of one fetch are handed over together. */
const concurrentPartitionsMax = 1_000;

/**
 * Joins the group. kafkajs's own restart is switched off: after some crashes it restarts for ever without consuming,
 * and after others it never does. `ended` also resolves when it neither fetches nor fails for a while.
 */
export async function startSession(
  kafka: Kafka,
  options: SessionOptions,
  handlers: SessionHandlers,
): Promise<ConsumerSession> {
  const connection = kafka.open();
  const consumer = connection.client.consumer({
    groupId: options.groupId,
    sessionTimeout: options.sessionTimeoutMs,
    rebalanceTimeout: options.sessionTimeoutMs * 2,
    heartbeatInterval: Math.ceil(options.sessionTimeoutMs / 10),
    maxBytesPerPartition: options.partitionBytesMax,
    maxBytes: options.fetchBytesMax,
    maxWaitTimeInMs: fetchWaitMs,
    metadataMaxAge: options.metadataMaxAgeMs ?? 15_000,
    allowAutoTopicCreation: false,
    // Reads past open transactions; what is aborted is left out here (`transactions.ts`).
    readUncommitted: true,
    retry: { retries: 5, restartOnFailure: () => Promise.resolve(false) },
  });
  const hold = options.transactions ? createTransactionHold(options.transactions.onOverflow) : null;
  const { promise: ended, resolve: end } = Promise.withResolvers<Error>();
  let commitNow: ((offsets: Offsets) => Promise<void>) | null = null;
  const pulse = watchPulse(options.sessionTimeoutMs * 2 + kafka.requestTimeoutMs + 5_000, end);
  const generations = watchGenerations(consumer, holding(handlers, hold), end);
  observe(consumer, pulse, end);
  const startTimeoutMs = kafka.requestTimeoutMs * 3 + options.sessionTimeoutMs;
  try {
    await within(consumer.connect(), startTimeoutMs, 'KAFKA_UNAVAILABLE', 'connecting');
    await within(
      consumer.subscribe({ topics: [...options.topics], fromBeginning: true }),
      startTimeoutMs,
      'KAFKA_UNAVAILABLE',
      'subscribing',
    );
    // Resolves also when joining fails: then the crash is on its way to `ended`.
    await within(
      consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: concurrentPartitionsMax,
        eachBatch,
      }),
      startTimeoutMs,
      'KAFKA_UNAVAILABLE',
      'joining the group',
    );
  } catch (error) {
    pulse.stop();
    connection.destroy();
    throw error;
  }
  return { ended, commit, isHolding: () => hold?.isEmpty() === false, stop };

  async function eachBatch(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const { topic, partition } = batch;
    const nextOffset = Number(batch.lastOffset()) + 1;
    if (!generations.follows({ topic, partition, nextOffset }, fetchedOffsetOf(batch))) return;
    commitNow = (offsets) => payload.commitOffsetsIfNecessary(offsets);
    // They come from our own decoder (`fetch-decoding.ts`).
    const entries = batch.messages as unknown as readonly LogEntry[];
    const passed = hold === null ? entries : hold.pass(placeOf(topic, partition), entries);
    handlers.onFetched({
      topic,
      partition,
      messages: passed.flatMap((entry) =>
        entry.kind === 'record' ? [consumedMessage(topic, partition, entry)] : [],
      ),
      unreadable: passed.filter((entry) => entry.kind === 'unreadable'),
      nextOffset,
      commitOffset: hold?.heldFrom(placeOf(topic, partition)) ?? nextOffset,
    });
    // The place to fetch from moves on; what is committed is decided elsewhere, when the records were handled.
    const last = batch.messages.at(-1);
    if (last !== undefined) payload.resolveOffset(last.offset);
    await handlers.room(() => {
      pulse.beat();
      return payload.heartbeat();
    });
  }

  /** Goes past kafkajs's retries: those would repeat a commit in a later generation, for partitions of others. */
  async function commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
    if (commitNow === null) throw new TollgateError('KAFKA_UNAVAILABLE', 'Nothing was fetched yet');
    const topics = Map.groupBy(offsets, ({ topic }) => topic);
    await within(
      commitNow({
        topics: [...topics].map(([topic, entries]) => ({
          topic,
          partitions: entries.map(({ partition, offset }) => ({ partition, offset: String(offset) })),
        })),
      }),
      kafka.requestTimeoutMs,
      'KAFKA_UNAVAILABLE',
      'committing',
    );
  }

  async function stop(): Promise<void> {
    pulse.stop();
    // Leaves the group, so that others need not wait for the session to time out.
    await withinOr(consumer.disconnect(), stopTimeoutMs, undefined).catch(() => undefined);
    connection.destroy();
    end(new Error('stopped'));
  }
}

/** Each assignment is read from its committed offsets on, so what was held back comes again. */
function holding(handlers: SessionHandlers, hold: TransactionHold | null): SessionHandlers {
  if (hold === null) return handlers;
  return {
    ...handlers,
    onAssigned(assignment) {
      hold.clear();
      handlers.onAssigned(assignment);
    },
    onFetched: (fetched) =>
      handlers.onFetched({
        ...fetched,
        commitOffset: hold.heldFrom(placeOf(fetched.topic, fetched.partition)) ?? fetched.commitOffset,
      }),
  };
}

function placeOf(topic: string, partition: number): string {
  return `${partition} ${topic}`;
}

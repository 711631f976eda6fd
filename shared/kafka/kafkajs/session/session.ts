import type { EachBatchPayload, Offsets } from 'kafkajs';
import { TollgateError } from '../../../runtime/errors.ts';
import { within, withinOr } from '../../../runtime/within.ts';
import { consumedMessage } from '../../message.ts';
import type { LogEntry } from '../decoding/log-entry.ts';
import type { Kafka } from '../kafka.ts';
import { partitionKey } from './fetched.ts';
import type { SessionHandlers, TopicPartitionOffset } from './fetched.ts';
import { fetchedOffsetOf, watchGenerations } from './generations.ts';
import { watchHeartbeat } from './heartbeat.ts';
import { createTransactionHold } from './transactions.ts';
import type { TransactionHold } from './transactions.ts';

export interface SessionOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly sessionTimeoutMs: number;
  readonly fetchBytesMax: number;
  readonly partitionBytesMax: number;
  /** A partition that is added to a topic is read after at most this time. */
  readonly metadataMaxAgeMs?: number;
  /**
   * If set, the records of a transaction are held back until it is committed, and the records of an aborted transaction
   * are dropped. If absent, every record is delivered at once: for topics that only Tollgate writes, without
   * transactions.
   */
  readonly transactions?: { readonly onOverflow: (records: number) => void };
}

/**
 * One session of a kafkajs consumer, from joining the group to its first failure. It is never restarted: a new session
 * replaces it.
 */
export interface ConsumerSession {
  /** Resolves with the reason when the consumer has failed or stopped. */
  readonly ended: Promise<Error>;
  commit(offsets: readonly TopicPartitionOffset[]): Promise<void>;
  /** True while records of open transactions are held back. */
  isHolding(): boolean;
  stop(): Promise<void>;
}

const fetchWaitMs = 500;
const stopTimeoutMs = 3_000;
/**
 * Larger than the number of partitions of a member, so that kafkajs delivers all partitions of a fetch concurrently.
 */
const concurrentPartitionsMax = 1_000;

/**
 * Joins the group. The restart of kafkajs is turned off: after some crashes kafkajs restarts for ever without
 * consuming, and after others it never restarts. `ended` also resolves when the consumer neither fetches nor fails for
 * some time.
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
    // Fetches the records of open transactions too; `transactions.ts` holds them back and drops the records of aborted
    // transactions.
    readUncommitted: true,
    retry: { retries: 5, restartOnFailure: () => Promise.resolve(false) },
  });
  const hold = options.transactions ? createTransactionHold(options.transactions.onOverflow) : null;
  const { promise: ended, resolve: end } = Promise.withResolvers<Error>();
  let commitNow: ((offsets: Offsets) => Promise<void>) | null = null;
  const generations = watchGenerations(consumer, holding(handlers, hold), end);
  const silenceMsMax = options.sessionTimeoutMs * 2 + kafka.requestTimeoutMs + 5_000;
  const heartbeat = watchHeartbeat(consumer, silenceMsMax, end);
  const startTimeoutMs = kafka.requestTimeoutMs * 3 + options.sessionTimeoutMs;
  try {
    await within(consumer.connect(), startTimeoutMs, 'KAFKA_UNAVAILABLE', 'connecting');
    await within(
      consumer.subscribe({ topics: [...options.topics], fromBeginning: true }),
      startTimeoutMs,
      'KAFKA_UNAVAILABLE',
      'subscribing',
    );
    // This call also resolves when joining the group fails; `ended` then resolves with the failure.
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
    heartbeat.stop();
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
    // kafkajs delivers the entries that `decoding/fetch-response.ts` returns.
    const entries = batch.messages as unknown as readonly LogEntry[];
    const released = hold === null ? entries : hold.release(partitionKey(topic, partition), entries);
    handlers.onFetched({
      topic,
      partition,
      messages: released.flatMap((entry) =>
        entry.kind === 'record' ? [consumedMessage(topic, partition, entry)] : [],
      ),
      unreadable: released.filter((entry) => entry.kind === 'unreadable'),
      nextOffset,
      commitOffset: hold?.heldFrom(partitionKey(topic, partition)) ?? nextOffset,
    });
    // Moves only the fetch position. Offsets are committed later, when the records are handled.
    const last = batch.messages.at(-1);
    if (last !== undefined) payload.resolveOffset(last.offset);
    await handlers.waitForRoom(() => {
      heartbeat.note();
      return payload.heartbeat();
    });
  }

  /**
   * Bypasses the retries of kafkajs: they could repeat a commit in a later generation, for partitions that then belong
   * to other members.
   */
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
    heartbeat.stop();
    // Leaves the group, so that the other members need not wait for the session timeout.
    await withinOr(consumer.disconnect(), stopTimeoutMs, undefined).catch(() => undefined);
    connection.destroy();
    end(new Error('stopped'));
  }
}

/** Each assignment is read from its committed offsets on, so that records that were held back are fetched again. */
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
        commitOffset: hold.heldFrom(partitionKey(fetched.topic, fetched.partition)) ?? fetched.commitOffset,
      }),
  };
}

import type { EachBatchPayload, Consumer as KafkaJsConsumer, Offsets } from 'kafkajs';
import { TollgateError } from '../runtime/errors.ts';
import { within } from './deadline.ts';
import type { Kafka } from './kafka.ts';
import { fetchedOffsetOf, watchGenerations } from './generations.ts';
import { consumedMessage } from './message.ts';
import type { ConsumedMessage } from './message.ts';

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
  /** Where to read on: behind the last record, also behind those that compaction took. */
  readonly nextOffset: number;
  readonly highWatermark: number;
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
}

/** One life of a kafkajs consumer. When it ends for whatever reason, another is made; it is never revived. */
export interface ConsumerSession {
  /** Resolves when the consumer can do nothing more, with the reason. */
  readonly ended: Promise<Error>;
  commit(offsets: readonly TopicPartitionOffset[]): Promise<void>;
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
    metadataMaxAge: 60_000,
    allowAutoTopicCreation: false,
    retry: { retries: 5, restartOnFailure: () => Promise.resolve(false) },
  });
  const { promise: ended, resolve: end } = Promise.withResolvers<Error>();
  let commitNow: ((offsets: Offsets) => Promise<void>) | null = null;
  const pulse = watchPulse(options.sessionTimeoutMs * 2 + kafka.requestTimeoutMs + 5_000, end);
  const generations = watchGenerations(consumer, handlers, end);
  observe(consumer, pulse, end);
  const startTimeoutMs = kafka.requestTimeoutMs * 3 + options.sessionTimeoutMs;
  try {
    await within(startTimeoutMs, 'connecting', consumer.connect());
    await within(
      startTimeoutMs,
      'subscribing',
      consumer.subscribe({ topics: [...options.topics], fromBeginning: true }),
    );
    // Resolves also when joining fails: then the crash is on its way to `ended`.
    await within(
      startTimeoutMs,
      'joining the group',
      consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: concurrentPartitionsMax,
        eachBatch,
      }),
    );
  } catch (error) {
    pulse.stop();
    connection.destroy();
    throw error;
  }
  return { ended, commit, stop };

  async function eachBatch(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const { topic, partition } = batch;
    const messages = batch.messages.map((message) => consumedMessage(topic, partition, message));
    const nextOffset = Number(batch.lastOffset()) + 1;
    const fetched = { topic, partition, messages, nextOffset, highWatermark: Number(batch.highWatermark) };
    if (!generations.follows(fetched, fetchedOffsetOf(batch))) return;
    commitNow = (offsets) => payload.commitOffsetsIfNecessary(offsets);
    handlers.onFetched(fetched);
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
      kafka.requestTimeoutMs,
      'committing',
      commitNow({
        topics: [...topics].map(([topic, entries]) => ({
          topic,
          partitions: entries.map(({ partition, offset }) => ({ partition, offset: String(offset) })),
        })),
      }),
    );
  }

  async function stop(): Promise<void> {
    pulse.stop();
    // Leaves the group, so that others need not wait for the session to time out.
    await within(stopTimeoutMs, 'leaving the group', consumer.disconnect()).catch(() => undefined);
    connection.destroy();
    end(new Error('stopped'));
  }
}

function observe(consumer: KafkaJsConsumer, pulse: Pulse, end: (reason: Error) => void): void {
  const { GROUP_JOIN, REBALANCING, FETCH, CRASH, STOP, DISCONNECT } = consumer.events;
  consumer.on(GROUP_JOIN, () => pulse.beat());
  consumer.on(REBALANCING, () => pulse.beat());
  consumer.on(FETCH, () => pulse.beat());
  consumer.on(CRASH, ({ payload }) => end(payload.error));
  consumer.on(STOP, () => end(new Error('The consumer stopped')));
  consumer.on(DISCONNECT, () => end(new Error('The consumer disconnected')));
}

interface Pulse {
  beat(): void;
  stop(): void;
}

const pulseIntervalMs = 1_000;

/** Ends the session when nothing moved for `silenceMsMax`: kafkajs can wait for an answer that no timeout watches. */
function watchPulse(silenceMsMax: number, end: (reason: Error) => void): Pulse {
  let lastAt = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - lastAt < silenceMsMax) return;
    clearInterval(timer);
    end(new TollgateError('KAFKA_STALLED', `The consumer did not fetch for ${silenceMsMax} ms`));
  }, pulseIntervalMs);
  return {
    beat: () => (lastAt = performance.now()),
    stop: () => clearInterval(timer),
  };
}

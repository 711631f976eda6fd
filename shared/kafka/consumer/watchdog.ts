import { TollgateError, messageOf } from '../../runtime/errors.ts';
import { createAdminQueue } from '../kafkajs/admin-queue.ts';
import type { KafkaAdmin } from '../kafkajs/admin-queue.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import { counted } from '../../domain/text/counted.ts';

export interface Lag {
  /**
   * Number of records that are not committed, on the partitions of this member; before the member has joined, on all
   * partitions of the topic.
   */
  readonly messages: number;
  /** Age of the oldest record that is not committed. */
  readonly seconds: number;
  readonly partitions: readonly PartitionLag[];
}

export interface PartitionLag {
  readonly topic: string;
  readonly partition: number;
  readonly messages: number;
  /** Offset after the last record of the partition. */
  readonly end: number;
}

export interface WatchdogOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly stalledAfterMs: number;
  readonly assignment: () => ReadonlyMap<string, readonly number[]> | null;
  readonly oldestWaitingMs: () => number | null;
  /**
   * True while only records of open transactions wait. They are delivered when their producers end the transactions, so
   * the consumer is not stalled.
   */
  readonly isHolding: () => boolean;
  /** Receives the lag, which was read at or after this time (monotonic milliseconds). */
  readonly onLag: (lag: Lag, readAtMs: number) => void;
  readonly onStalled: (error: TollgateError) => void;
}

export interface Watchdog {
  lag(): Lag | null;
  /**
   * Called when an offset was committed, a handler failed, or a stage completed a part of its work. This shows that the consumer is
   * not stalled.
   */
  noteProgress(): void;
  close(): Promise<void>;
}

const pollIntervalMsMax = 5_000;

/**
 * Reads the lag of the group from Kafka over its own connection, because kafkajs may show a failed consumer as running.
 * Neither an outage of Kafka nor a handler that fails and is retried counts as a stall.
 */
export function watchProgress(kafka: Kafka, options: WatchdogOptions): Watchdog {
  const { groupId, topics, stalledAfterMs } = options;
  const admin = createAdminQueue(kafka);
  let lag: Lag | null = null;
  let progressAt = performance.now();
  let committedBefore = -1;
  let lagSinceMs: number | null = null;
  let polling: Promise<void> = Promise.resolve();
  let isPolling = false;
  const timer = setInterval(
    () => {
      if (isPolling) return;
      isPolling = true;
      polling = poll().finally(() => (isPolling = false));
    },
    Math.min(pollIntervalMsMax, stalledAfterMs / 4),
  );

  return {
    lag: () => lag,
    noteProgress: () => (progressAt = performance.now()),
    async close() {
      clearInterval(timer);
      admin.close();
      await polling;
    },
  };

  async function poll(): Promise<void> {
    const readAtMs = performance.now();
    try {
      const { partitions, committed } = await admin.call(
        'reading the lag',
        kafka.requestTimeoutMs * 2,
        readLag,
      );
      const behind = partitions.reduce((sum, { messages }) => sum + messages, 0);
      lag = { messages: behind, seconds: secondsBehind(behind), partitions };
      options.onLag(lag, readAtMs);
      if (behind === 0 || committed !== committedBefore || options.isHolding())
        progressAt = performance.now();
      committedBefore = committed;
    } catch (error) {
      kafka.logger.debug({ err: error, group: groupId }, `the lag could not be read: ${messageOf(error)}`);
      progressAt = performance.now();
      return;
    }
    if (performance.now() - progressAt < stalledAfterMs) return;
    clearInterval(timer);
    const waiting = `${counted(lag.messages, 'record')} not read by group ${groupId}`;
    options.onStalled(
      new TollgateError('KAFKA_STALLED', `${waiting}, and nothing moved for ${stalledAfterMs} ms`),
    );
  }

  async function readLag(client: KafkaAdmin): Promise<{ partitions: PartitionLag[]; committed: number }> {
    const assigned = options.assignment();
    const lags: PartitionLag[] = [];
    let committed = 0;
    const groups = await client.fetchOffsets({ groupId, topics: [...topics] });
    for (const { topic, partitions } of groups) {
      const offsets = new Map(partitions.map((entry) => [entry.partition, Number(entry.offset)]));
      for (const { partition, high, low } of await client.fetchTopicOffsets(topic)) {
        if (assigned !== null && assigned.get(topic)?.includes(partition) !== true) continue;
        const offset = Math.max(offsets.get(partition) ?? 0, Number(low), 0);
        lags.push({ topic, partition, messages: Math.max(0, Number(high) - offset), end: Number(high) });
        committed += offset;
      }
    }
    return { partitions: lags, committed };
  }

  /**
   * Returns the age of the oldest buffered record. If no record is buffered, returns the time since the lag was first
   * seen.
   */
  function secondsBehind(behind: number): number {
    const nowMs = Date.now();
    lagSinceMs = behind === 0 ? null : (lagSinceMs ?? nowMs);
    const oldestMs = options.oldestWaitingMs() ?? lagSinceMs;
    return behind === 0 || oldestMs === null ? 0 : Math.max(0, nowMs - oldestMs) / 1000;
  }
}

import type { Registry } from 'prom-client';
import { TollgateError, messageOf } from '../../runtime/errors.ts';
import { backoffMs, pause } from '../backoff.ts';
import { createIdempotentProducer } from '../kafkajs/idempotent-producer.ts';
import type { OutgoingMessage } from '../kafkajs/idempotent-producer.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import { producerMetrics } from '../metrics.ts';
import { createSendQueue } from './send-queue.ts';

export interface ProducerRecord {
  /** Selects the partition with the hash of the Java client; null spreads records evenly. */
  readonly key: Buffer | string | null;
  /** Null is a tombstone. */
  readonly value: Buffer | string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Absent: the key selects the partition. */
  readonly partition?: number;
}

/** The offset of a record, and its partition. */
export interface RecordPlace {
  readonly partition: number;
  readonly offset: number;
}

export interface Producer {
  /**
   * Resolves with the place of each record when the leader and the in-sync replicas of every partition have all of these
   * records, within a partition in their order. Rejects with KAFKA_UNAVAILABLE or KAFKA_PRODUCE_UNVERIFIED when that is
   * not certain after `deliveryTimeoutMs` (Kafka may then have all, some or none of the records), and at once with
   * KAFKA_RECORD_REFUSED when Kafka refuses a record for good, for example because it is too large.
   */
  send(topic: string, records: readonly ProducerRecord[]): Promise<readonly RecordPlace[]>;
  /** Waits `graceMs` for the sends in the queue; sends that have not ended then reject, whether Kafka has the records or not. */
  close(graceMs?: number): Promise<void>;
}

export interface ProducerOptions {
  readonly registry: Registry;
  /** Bound of one `send` with its retries, from the moment it leaves the queue. */
  readonly deliveryTimeoutMs?: number;
  /** Bound of one attempt. */
  readonly attemptTimeoutMs?: number;
  /** Number of sends that may wait in the queue; one more is refused. */
  readonly waitingMax?: number;
}

const retryDelayMsMax = 2_000;
const closeGraceMs = 5_000;

/**
 * A producer that verifies every promise of kafkajs.
 *
 * 1. One `send` at a time, with all its attempts. With two in flight, an idempotent kafkajs producer rolls its sequence
 *    numbers back when the first fails; the broker then drops the second as a duplicate, and its records are lost.
 * 2. Every record gets its partition before the first attempt and keeps it, so that an attempt repeats the same batches
 *    with the same sequence numbers and the broker recognises those that it has.
 * 3. The acknowledgements are compared with the records. When a leader moves during a send, kafkajs skips its partitions
 *    and resolves; the records of these partitions are sent again.
 * 4. When a send is abandoned, the connection with its producer id is destroyed: a later batch of equal length would have
 *    the sequence numbers of the abandoned one, and the broker would drop it as a duplicate.
 *
 * A record may be written twice (when a response is lost with its connection); consumers recognise it by its id.
 */
export function createProducer(kafka: Kafka, options: ProducerOptions): Producer {
  const { registry, deliveryTimeoutMs = 60_000, waitingMax = 1_000 } = options;
  const { attemptTimeoutMs = kafka.requestTimeoutMs * 2 + 5_000 } = options;
  const metrics = producerMetrics(registry);
  const connection = createIdempotentProducer(kafka);
  const queue = createSendQueue({ waitingMax, onWaiting: (waiting) => metrics.waiting.set(waiting) });
  const closing = new AbortController();

  return { send, close };

  async function send(topic: string, records: readonly ProducerRecord[]): Promise<readonly RecordPlace[]> {
    if (records.length === 0) return [];
    if (closing.signal.aborted) throw new TollgateError('KAFKA_UNAVAILABLE', 'The producer is closed');
    return queue.run(() => deliver(topic, records));
  }

  async function deliver(topic: string, records: readonly ProducerRecord[]): Promise<readonly RecordPlace[]> {
    const stopTimer = metrics.seconds.startTimer();
    const messages: OutgoingMessage[] = records.map((record) => ({
      ...record,
      partition: record.partition ?? null,
    }));
    const baseOffsets = new Map<number, number>();
    const deadlineMs = performance.now() + deliveryTimeoutMs;
    for (let attempt = 0; ; attempt += 1) {
      const missing = messages.filter(({ partition }) => partition === null || !baseOffsets.has(partition));
      const remainingMs = Math.max(1, deadlineMs - performance.now());
      const failure = await attemptOnce(topic, missing, baseOffsets, Math.min(attemptTimeoutMs, remainingMs));
      if (failure === null) break;
      const isLast = performance.now() >= deadlineMs || closing.signal.aborted;
      if (failure.code === 'KAFKA_RECORD_REFUSED' || isLast) {
        connection.abandon();
        throw failure;
      }
      await pause(backoffMs(attempt, retryDelayMsMax), closing.signal);
    }
    stopTimer();
    metrics.records.inc({ topic }, records.length);
    return placesOf(messages, baseOffsets);
  }

  /** Adds the acknowledged partitions to `baseOffsets`. Returns the failure, or null when no record is missing. */
  async function attemptOnce(
    topic: string,
    missing: readonly OutgoingMessage[],
    baseOffsets: Map<number, number>,
    timeoutMs: number,
  ): Promise<TollgateError | null> {
    try {
      const acknowledged = await connection.send(topic, missing, timeoutMs);
      for (const [partition, offset] of acknowledged) baseOffsets.set(partition, offset);
    } catch (error) {
      const failure = asFailure(topic, error);
      metrics.failures.inc({ topic, kind: failure.code === 'KAFKA_RECORD_REFUSED' ? 'refused' : 'error' });
      return failure;
    }
    const skipped = new Set(
      missing.map(({ partition }) => partition).filter((p) => p === null || !baseOffsets.has(p)),
    );
    if (skipped.size === 0) return null;
    metrics.failures.inc({ topic, kind: 'unverified' });
    kafka.logger.warn({ topic, partitions: [...skipped] }, 'partitions were sent and not acknowledged');
    return new TollgateError(
      'KAFKA_PRODUCE_UNVERIFIED',
      `${topic}: ${skipped.size} partitions were not acknowledged`,
    );
  }

  async function close(graceMs = closeGraceMs): Promise<void> {
    const timer = setTimeout(() => {
      closing.abort();
      connection.abandon();
    }, graceMs);
    await queue.idle();
    clearTimeout(timer);
    closing.abort();
    await connection.close();
  }
}

/** Errors of the broker about the records themselves, which no retry changes. */
const refusals = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
]);

function asFailure(topic: string, error: unknown): TollgateError {
  if (error instanceof TollgateError) return error;
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if ('type' in cause && typeof cause.type === 'string' && refusals.has(cause.type)) {
      return new TollgateError('KAFKA_RECORD_REFUSED', `${topic}: ${cause.message}`, { cause: error });
    }
  }
  return new TollgateError('KAFKA_UNAVAILABLE', `${topic}: ${messageOf(error)}`, { cause: error });
}

/** The records of a partition are in one batch and in order, so that their offsets are consecutive. */
function placesOf(
  messages: readonly OutgoingMessage[],
  baseOffsets: ReadonlyMap<number, number>,
): RecordPlace[] {
  const next = new Map(baseOffsets);
  return messages.map(({ partition }) => {
    const offset = next.get(partition ?? -1) ?? -1;
    next.set(partition ?? -1, offset + 1);
    return { partition: partition ?? -1, offset };
  });
}

import type { Registry } from 'prom-client';
import { TollgateError, messageOf } from '../../runtime/errors.ts';
import { backoffMs, pause } from '../backoff.ts';
import { createIdempotentProducer } from '../kafkajs/idempotent-producer.ts';
import type { OutgoingMessage } from '../kafkajs/idempotent-producer.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import { producerMetrics, startFailures } from '../metrics.ts';
import { createSendQueue } from './send-queue.ts';
import { counted } from '../../domain/text/counted.ts';

export interface ProducerRecord {
  /** The key, whose hash selects the partition as in the Java client. With null, records are spread evenly. */
  readonly key: Buffer | string | null;
  /** The value; null makes the record a tombstone. */
  readonly value: Buffer | string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** The partition; if absent, the key selects it. */
  readonly partition?: number;
}

/** The partition and the offset of a stored record. */
export interface RecordPlace {
  readonly partition: number;
  readonly offset: number;
}

export interface Producer {
  /**
   * Resolves with the place of each record when the leader and the in-sync replicas of every partition have all of
   * these records. Within a partition the records keep their order. Rejects with KAFKA_UNAVAILABLE or
   * KAFKA_PRODUCE_UNVERIFIED if that is not certain after `deliveryTimeoutMs`; Kafka may then have all, some or none of
   * the records. Rejects at once with KAFKA_RECORD_REFUSED if Kafka refuses a record permanently, for example because
   * it is too large.
   */
  send(topic: string, records: readonly ProducerRecord[]): Promise<readonly RecordPlace[]>;
  /**
   * Waits up to `graceMs` for the sends in the queue. Sends that have not ended by then reject, although Kafka may have
   * their records.
   */
  close(graceMs?: number): Promise<void>;
}

export interface ProducerOptions {
  readonly registry: Registry;
  /** Time limit of one `send` with its retries, from the moment at which it leaves the queue. */
  readonly deliveryTimeoutMs?: number;
  /** Time limit of one attempt. */
  readonly attemptTimeoutMs?: number;
  /** Largest number of sends that wait in the queue. A further send is refused. */
  readonly waitingMax?: number;
  /** Headers that are added to a record that is sent again after a failed attempt: Kafka may have the record already. */
  readonly resentHeaders?: Readonly<Record<string, string>>;
}

const retryDelayMsMax = 2_000;
const closeGraceMs = 5_000;

/**
 * A producer that verifies the results of kafkajs.
 *
 * 1. One `send` runs at a time, with all its attempts. With two in flight, an idempotent kafkajs producer sets its
 *    sequence numbers back when the first send fails; the broker then drops the second send as a duplicate, and its
 *    records are lost.
 * 2. Every record gets its partition before the first attempt and keeps it. So each attempt repeats the same batches
 *    with the same sequence numbers, and the broker recognises the batches that it already has.
 * 3. The acknowledgements are compared with the records. If a leader moves during a send, kafkajs skips the partitions
 *    of that leader and resolves; the records of these partitions are sent again.
 * 4. If a send is abandoned, the connection with its producer id is destroyed. Otherwise a later batch of equal length
 *    would have the sequence numbers of the abandoned batch, and the broker would drop it as a duplicate.
 *
 * A record may be written twice, if a response is lost with its connection. Consumers recognise the record by its id, or by the headers
 * of the option `resentHeaders`.
 */
export function createProducer(kafka: Kafka, options: ProducerOptions): Producer {
  const { registry, deliveryTimeoutMs = 60_000, waitingMax = 1_000 } = options;
  const { attemptTimeoutMs = kafka.requestTimeoutMs * 2 + 5_000 } = options;
  const metrics = producerMetrics(registry);
  const connection = createIdempotentProducer(kafka);
  const queue = createSendQueue({ waitingMax, onWaiting: (waiting) => metrics.waiting.set(waiting) });
  const closing = new AbortController();
  const topics = new Set<string>();

  return { send, close };

  async function send(topic: string, records: readonly ProducerRecord[]): Promise<readonly RecordPlace[]> {
    if (records.length === 0) return [];
    if (closing.signal.aborted) throw new TollgateError('KAFKA_UNAVAILABLE', 'The producer is closed');
    return queue.run(() => deliver(topic, records));
  }

  async function deliver(topic: string, records: readonly ProducerRecord[]): Promise<readonly RecordPlace[]> {
    if (!topics.has(topic)) startFailures(metrics, topic);
    topics.add(topic);
    const stopTimer = metrics.seconds.startTimer();
    const messages = records.map(outgoingMessage);
    const baseOffsets = new Map<number, number>();
    const deadlineMs = performance.now() + deliveryTimeoutMs;
    for (let attempt = 0; ; attempt += 1) {
      const missing =
        attempt === 0
          ? messages
          : messages.filter(({ partition }) => partition === null || !baseOffsets.has(partition));
      if (attempt === 1 && options.resentHeaders !== undefined) addHeaders(missing, options.resentHeaders);
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

  /** Adds the acknowledged partitions to `baseOffsets`. Returns the failure; null if every record is acknowledged. */
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
    const skipped = new Set<number | null>();
    for (const { partition } of missing) {
      if (partition === null || !baseOffsets.has(partition)) skipped.add(partition);
    }
    if (skipped.size === 0) return null;
    metrics.failures.inc({ topic, kind: 'unverified' });
    kafka.logger.warn({ topic, partitions: [...skipped] }, 'partitions were sent and not acknowledged');
    return new TollgateError(
      'KAFKA_PRODUCE_UNVERIFIED',
      `${topic}: no acknowledgement for ${counted(skipped.size, 'partition')}`,
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

function outgoingMessage({ key, value, headers, partition: own }: ProducerRecord): OutgoingMessage {
  const partition = own ?? null;
  return headers === undefined ? { key, value, partition } : { key, value, headers, partition };
}

function addHeaders(messages: readonly OutgoingMessage[], headers: Readonly<Record<string, string>>): void {
  for (const message of messages) message.headers = { ...message.headers, ...headers };
}

/** Errors of the broker that the records themselves cause, so that no retry can succeed. */
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

/** All records of a partition are in one batch and in order, so their offsets are consecutive. */
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

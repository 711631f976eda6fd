import type { Registry } from 'prom-client';
import { TollgateError, messageOf } from '../../runtime/errors.ts';
import { backoffMs, pause } from '../kafkajs/deadline.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import { producerMetrics } from '../metrics.ts';
import { createProducerLine } from '../kafkajs/idempotent-producer.ts';
import type { OutgoingMessage } from '../kafkajs/idempotent-producer.ts';

export interface ProducerRecord {
  /** Chooses the partition as the Java client does; null spreads records evenly. */
  readonly key: Buffer | string | null;
  /** Null is a tombstone. */
  readonly value: Buffer | string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Absent: chosen by the key. */
  readonly partition?: number;
}

/** Where a record stands in the topic. */
export interface RecordPlace {
  readonly partition: number;
  readonly offset: number;
}

export interface Producer {
  /**
   * Resolves when every partition's leader and its in-sync replicas have all of these records, in their order within
   * a partition, and answers where each one stands. Rejects with KAFKA_UNAVAILABLE or KAFKA_PRODUCE_UNVERIFIED when
   * that is not known after `deliveryTimeoutMs` (the records may then be there or not, in whole or in part), and at
   * once with KAFKA_RECORD_REFUSED when Kafka will never take one of them (it is too large, for example).
   */
  send(topic: string, records: readonly ProducerRecord[]): Promise<readonly RecordPlace[]>;
  /** Gives what is in flight `graceMs`, then lets go: it rejects, delivered or not. */
  close(graceMs?: number): Promise<void>;
}

export interface ProducerOptions {
  readonly registry: Registry;
  /** Bound of one call of `send`, from its turn on, with everything that is tried again within it. */
  readonly deliveryTimeoutMs?: number;
  /** Bound of one attempt. */
  readonly attemptTimeoutMs?: number;
  /** Calls of `send` that may wait for their turn; one more is refused. */
  readonly waitingMax?: number;
}

const retryDelayMsMax = 2_000;
const closeGraceMs = 5_000;

/**
 * A producer that believes no promise of kafkajs that it has not checked.
 *
 * 1. One `send` at a time, all its attempts included. With two in flight an idempotent kafkajs producer rolls its
 *    sequence numbers back when the first fails, and the broker takes the second for a duplicate and drops it.
 * 2. Every record has its partition before the first attempt and keeps it, so an attempt repeats the same batches
 *    with the same sequence numbers and the broker recognises what it already has.
 * 3. What comes back is compared with what was sent. When a leader moves during a send, kafkajs skips its partitions
 *    and resolves all the same; those are sent again.
 * 4. When a send is given up, so is the connection with its producer id: a later batch of equal length would carry
 *    the sequence numbers of the one given up, and be dropped as its duplicate.
 *
 * Records may be written twice (an answer lost together with its connection); readers recognise them by their id.
 */
export function createProducer(kafka: Kafka, options: ProducerOptions): Producer {
  const { registry, deliveryTimeoutMs = 60_000, waitingMax = 1_000 } = options;
  const { attemptTimeoutMs = kafka.requestTimeoutMs * 2 + 5_000 } = options;
  const metrics = producerMetrics(registry);
  const line = createProducerLine(kafka);
  const closing = new AbortController();
  let turn: Promise<unknown> = Promise.resolve();
  let waiting = 0;

  return { send, close };

  async function send(topic: string, records: readonly ProducerRecord[]): Promise<readonly RecordPlace[]> {
    if (records.length === 0) return [];
    if (closing.signal.aborted) throw new TollgateError('KAFKA_UNAVAILABLE', 'The producer is closed');
    if (waiting >= waitingMax) {
      throw new TollgateError('KAFKA_UNAVAILABLE', `${waitingMax} sends wait already`);
    }
    metrics.waiting.set((waiting += 1));
    const before = turn;
    const mine = before.then(async () => {
      metrics.waiting.set((waiting -= 1));
      return deliver(topic, records);
    });
    turn = mine.catch(() => undefined);
    return mine;
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
      const lastChance = performance.now() >= deadlineMs || closing.signal.aborted;
      if (failure.code === 'KAFKA_RECORD_REFUSED' || lastChance) {
        line.abandon();
        throw failure;
      }
      await pause(backoffMs(attempt, retryDelayMsMax), closing.signal);
    }
    stopTimer();
    metrics.records.inc({ topic }, records.length);
    return placesOf(messages, baseOffsets);
  }

  /** Adds what was acknowledged to `baseOffsets`; answers what went wrong, or null when nothing is missing. */
  async function attemptOnce(
    topic: string,
    missing: readonly OutgoingMessage[],
    baseOffsets: Map<number, number>,
    timeoutMs: number,
  ): Promise<TollgateError | null> {
    try {
      const acknowledged = await line.send(topic, missing, timeoutMs);
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
    const settled = turn;
    const timer = setTimeout(() => {
      closing.abort();
      line.abandon();
    }, graceMs);
    await settled;
    clearTimeout(timer);
    closing.abort();
    await line.close();
  }
}

/** Errors of the broker about the records themselves: no repetition changes them. */
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

/** Records of a partition go in one batch and in order, so each stands behind the one before. */
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

import { Counter } from 'prom-client';
import { resentHeaders } from '../../../shared/domain/topics/resent-record.ts';
import { createDeadLetterWriter } from '../../../shared/kafka/dead-letters/writer.ts';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { TollgateError, messageOf } from '../../../shared/runtime/errors.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import { traceBatch } from '../../../shared/runtime/tracing/tracing.ts';
import type { Tracing } from '../../../shared/runtime/tracing/tracing.ts';
import { withResentHeaders } from '../spool/batch-source.ts';
import type { OutgoingRecord } from '../spool/batch-source.ts';
import type { Spool } from '../spool/spool.ts';
import type { SpoolRecord } from '../spool/segments/record.ts';

export interface Publisher {
  /**
   * Sends the remaining events of the spool for at most `drainMsMax` milliseconds, and stops. Events that were not sent
   * stay in the spool until the next start.
   */
  close(drainMsMax?: number): Promise<void>;
}

export interface PublisherOptions {
  readonly kafka: Kafka;
  readonly topics: Topics;
  readonly spool: Spool;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
  /** Absent: no traces. */
  readonly tracing?: Tracing | null;
  /**
   * Largest event that is sent, in bytes: the brokers' `message.max.bytes` minus the size of the record and batch
   * headers.
   */
  readonly valueBytesMax?: number;
}

const batchRecordsMax = 2_000;
/**
 * Maximum size of a batch in bytes. It is below the default of a broker's `message.max.bytes`, which bounds a batch per
 * partition, because all records may be for one partition.
 */
const batchBytesMax = 900_000;
/**
 * Shortest time between the starts of two sends while events keep arriving. After a pause, the first send starts at
 * once.
 */
const sendIntervalMs = 20;
const readRetryMs = 1_000;

/**
 * Starts the only sender of a node. It reads events from the spool in order, sends them, and advances the spool when
 * every partition has acknowledged them. If the process crashes between send and advance, the events are sent again
 * with the same ids, and with a header by which the aggregator recognises corrections that Kafka has already.
 *
 * While Kafka is unavailable, slow or refuses records, only the publisher waits: a request ends when the spool has its
 * event. An event that Kafka will never accept is written to the dead-letter topic, so that it does not block the
 * events after it.
 */
export function startPublisher(options: PublisherOptions): Publisher {
  const { kafka, topics, spool, clock, registry, logger, valueBytesMax = 950_000 } = options;
  const { tracing = null } = options;
  const producer = createProducer(kafka, { registry, deliveryTimeoutMs: Infinity, resentHeaders });
  const deadLetters = createDeadLetterWriter({ producer, topics, clock, registry, logger });
  const deadLettersWritten = new Counter({
    name: 'tollgate_publish_dead_letters_total',
    help: 'Events that Kafka will never accept, written to the dead-letter topic.',
    registers: [registry],
  });
  let closing = false;
  let onAvailable: () => void = () => undefined;
  spool.onAvailable(() => onAvailable());
  const running = run();

  return { close };

  async function run(): Promise<void> {
    for (;;) {
      const startedAt = performance.now();
      const records = await readBatch();
      const last = records.at(-1);
      if (last === undefined) {
        if (closing) return;
        await nextWrite();
        continue;
      }
      const batch = { operation: 'send', topic: topics.usage, records } as const;
      await traceBatch(tracing, batch, () => sendBatch(records));
      spool.acknowledge(last.sequence);
      const pauseMs = startedAt + sendIntervalMs - performance.now();
      if (pauseMs > 0 && records.length < batchRecordsMax / 2 && !closing) await pause(pauseMs);
    }
  }

  async function readBatch(): Promise<readonly OutgoingRecord[]> {
    for (;;) {
      try {
        return await spool.readBatch(batchRecordsMax, batchBytesMax);
      } catch (error) {
        logger.error({ err: error }, `the spool could not be read: ${messageOf(error)}`);
        if (closing) return [];
        await pause(readRetryMs);
      }
    }
  }

  /** Resolves when Kafka has acknowledged every record on its topic or on the dead-letter topic. */
  async function sendBatch(records: readonly OutgoingRecord[]): Promise<void> {
    const tooLarge = records.filter(({ value }) => value.length > valueBytesMax);
    for (const record of tooLarge)
      await writeDeadLetter(record, `${record.value.length} bytes are more than Kafka accepts`);
    const fitting =
      tooLarge.length === 0 ? records : records.filter(({ value }) => value.length <= valueBytesMax);
    try {
      await producer.send(topics.usage, fitting);
    } catch (error) {
      if (!(error instanceof TollgateError) || error.code !== 'KAFKA_RECORD_REFUSED') throw error;
      const [only] = fitting;
      if (fitting.length === 1 && only !== undefined) {
        await writeDeadLetter(only, error.message);
        return;
      }
      // Kafka refuses the whole batch because of one record. Halving the batch repeatedly isolates this
      // record, and the others are sent. Partitions without this record may have stored theirs already.
      const again = fitting.map(withResentHeaders);
      const middle = Math.ceil(again.length / 2);
      await sendBatch(again.slice(0, middle));
      await sendBatch(again.slice(middle));
    }
  }

  async function writeDeadLetter({ key, value, sequence }: SpoolRecord, reason: string): Promise<void> {
    deadLettersWritten.inc();
    logger.error({ sequence, bytes: value.length, reason }, 'an event was written to the dead-letter topic');
    try {
      await deadLetters.write([{ reason, topic: topics.usage, partition: null, offset: null, key, value }]);
    } catch (error) {
      if (!(error instanceof TollgateError) || error.code !== 'KAFKA_RECORD_REFUSED') throw error;
      logger.error(
        { err: error, sequence },
        'Kafka refused the dead letter too; the event is only in this log',
      );
    }
  }

  function nextWrite(): Promise<void> {
    return new Promise((resolve) => (onAvailable = resolve));
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  async function close(drainMsMax = 3_000): Promise<void> {
    closing = true;
    onAvailable();
    await Promise.race([running.catch(() => undefined), pause(drainMsMax)]);
    await producer.close(0);
    await running.catch((error: unknown) =>
      logger.debug({ err: error }, 'the publisher stopped with unsent events'),
    );
  }
}

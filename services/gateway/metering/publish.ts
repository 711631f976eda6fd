import { Counter } from 'prom-client';
import { createDeadLetterWriter } from '../../../shared/kafka/dead-letters/writer.ts';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { TollgateError, messageOf } from '../../../shared/runtime/errors.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import type { Spool } from '../spool/spool.ts';
import type { SpoolRecord } from '../spool/segments/record.ts';

export interface Publisher {
  /** Sends what the spool still has, for at most `drainMsMax`, and stops; the rest waits in the spool for the next start. */
  close(drainMsMax?: number): Promise<void>;
}

export interface PublisherOptions {
  readonly kafka: Kafka;
  readonly topics: Topics;
  readonly spool: Spool;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
  /** What the brokers take at most (`message.max.bytes`), less some room for what surrounds a value. */
  readonly valueBytesMax?: number;
}

const batchRecordsMax = 2_000;
/** Below a broker's default `message.max.bytes`, which bounds a batch: it may all be for one partition. */
const batchBytesMax = 900_000;
/** Two sends begin at least this far apart while events keep coming; the first one after a pause waits for nothing. */
const groupMs = 20;
const readRetryMs = 1_000;

/**
 * The one sender of a node: takes events from the spool in order, sends them, and lets the spool advance once every
 * partition's acknowledgement was verified. A crash in between sends them again; they keep their ids.
 *
 * Kafka down, refusing, silent or slow makes this wait, and nothing else: requests end at the spool. What Kafka will
 * never take goes to the dead letters, so that one event cannot hold up those behind it.
 */
export function startPublisher(options: PublisherOptions): Publisher {
  const { kafka, topics, spool, clock, registry, logger, valueBytesMax = 950_000 } = options;
  const producer = createProducer(kafka, { registry, deliveryTimeoutMs: Infinity });
  const deadLetters = createDeadLetterWriter({ producer, topics, clock, registry, logger });
  const buried = new Counter({
    name: 'tollgate_publish_dead_letters_total',
    help: 'Events that Kafka would never take and that went to the dead letters instead.',
    registers: [registry],
  });
  let closing = false;
  let wake: () => void = () => undefined;
  spool.onAvailable(() => wake());
  const running = run();

  return { close };

  async function run(): Promise<void> {
    for (;;) {
      const startedAt = performance.now();
      const records = await take();
      const last = records.at(-1);
      if (last === undefined) {
        if (closing) return;
        await nextWrite();
        continue;
      }
      await deliver(records);
      spool.acknowledge(last.sequence);
      const restMs = startedAt + groupMs - performance.now();
      if (restMs > 0 && records.length < batchRecordsMax / 2 && !closing) await pause(restMs);
    }
  }

  async function take(): Promise<readonly SpoolRecord[]> {
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

  /** Resolves when Kafka has each record, on its topic or among the dead letters. */
  async function deliver(records: readonly SpoolRecord[]): Promise<void> {
    const giants = records.filter(({ value }) => value.length > valueBytesMax);
    for (const giant of giants) await bury(giant, `${giant.value.length} bytes are more than Kafka takes`);
    const fitting =
      giants.length === 0 ? records : records.filter(({ value }) => value.length <= valueBytesMax);
    try {
      await producer.send(topics.usage, fitting);
    } catch (error) {
      if (!(error instanceof TollgateError) || error.code !== 'KAFKA_RECORD_REFUSED') throw error;
      const [only] = fitting;
      if (fitting.length === 1 && only !== undefined) {
        await bury(only, error.message);
        return;
      }
      // One of them is the reason: halving finds it in a few steps, and the others pass.
      const middle = Math.ceil(fitting.length / 2);
      await deliver(fitting.slice(0, middle));
      await deliver(fitting.slice(middle));
    }
  }

  async function bury({ key, value, sequence }: SpoolRecord, reason: string): Promise<void> {
    buried.inc();
    logger.error({ sequence, bytes: value.length, reason }, 'an event went to the dead letters');
    try {
      await deadLetters.write([{ reason, topic: topics.usage, partition: null, offset: null, key, value }]);
    } catch (error) {
      if (!(error instanceof TollgateError) || error.code !== 'KAFKA_RECORD_REFUSED') throw error;
      logger.error(
        { err: error, sequence },
        'a dead letter was refused as well; the event is only in this log',
      );
    }
  }

  function nextWrite(): Promise<void> {
    return new Promise((resolve) => (wake = resolve));
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  async function close(drainMsMax = 3_000): Promise<void> {
    closing = true;
    wake();
    await Promise.race([running.catch(() => undefined), pause(drainMsMax)]);
    await producer.close(0);
    await running.catch((error: unknown) =>
      logger.debug({ err: error }, 'the sender stopped with events left'),
    );
  }
}

import type { Producer } from 'kafkajs';
import type { ClockSource } from '../../runtime/time/agreed-clock.ts';
import { TollgateError } from '../../runtime/errors.ts';
import type { Lifecycle } from '../../runtime/lifecycle.ts';
import { within } from '../../runtime/within.ts';
import type { Kafka, KafkaConnection } from './kafka.ts';
import type { Topics } from '../topics.ts';

/**
 * Reads the clock of a broker. In a topic with `message.timestamp.type=LogAppendTime` the broker sets the timestamp of
 * each record. A reading writes one empty record over its own connection. The connection is destroyed when a reading
 * fails.
 */
export function brokerTime(kafka: Kafka, { clock: topic }: Topics, lifecycle: Lifecycle): ClockSource {
  let connection: KafkaConnection | null = null;
  let producer: Producer | null = null;
  lifecycle.onClose('time of the broker', () => {
    close();
    return Promise.resolve();
  });
  return { name: 'kafka', read };

  async function read(): Promise<number> {
    try {
      producer ??= await open();
      const sending = producer.send({ topic, acks: 1, messages: [{ key: null, value: '', partition: 0 }] });
      const [result] = await within(sending, kafka.requestTimeoutMs, 'KAFKA_UNAVAILABLE', 'reading the time');
      const atMs = Number(result?.logAppendTime ?? -1);
      if (atMs <= 0)
        throw new TollgateError('CLOCK_UNREADABLE', `${topic} does not have the timestamps of its broker`);
      return atMs;
    } catch (error) {
      close();
      throw error;
    }
  }

  async function open(): Promise<Producer> {
    connection = kafka.open();
    const opened = connection.client.producer({ allowAutoTopicCreation: false, retry: { retries: 1 } });
    await within(opened.connect(), kafka.requestTimeoutMs, 'KAFKA_UNAVAILABLE', 'connecting');
    return opened;
  }

  function close(): void {
    connection?.destroy();
    connection = null;
    producer = null;
  }
}

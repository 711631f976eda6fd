import type { Message, Producer as KafkaJsProducer } from 'kafkajs';
import { within } from './deadline.ts';
import type { Kafka, KafkaConnection } from './kafka.ts';
import { partitionOf } from './partition.ts';

/** A record on its way. Its partition is chosen at the first attempt and stays. */
export interface OutgoingMessage {
  readonly key: string | null;
  readonly value: Buffer | string | null;
  readonly headers?: Readonly<Record<string, string>>;
  partition: number | null;
}

/** One kafkajs producer at a time, made when it is needed and thrown away when it cannot be trusted any more. */
export interface ProducerLine {
  /** One attempt: the first offset of every partition that was acknowledged. The rest was not. */
  send(topic: string, messages: readonly OutgoingMessage[]): Promise<Map<number, number>>;
  /** Throws the producer away with its id and its sequence numbers. */
  abandon(): void;
  close(): Promise<void>;
}

interface Incarnation {
  readonly connection: KafkaConnection;
  readonly producer: KafkaJsProducer;
}

/** The broker and kafkajs disagree about sequence numbers: only a new producer id helps. */
const lostSequence =
  /OUT_OF_ORDER_SEQUENCE_NUMBER|DUPLICATE_SEQUENCE_NUMBER|UNKNOWN_PRODUCER_ID|INVALID_PRODUCER_EPOCH/;

export function createProducerLine(kafka: Kafka, attemptTimeoutMs: number): ProducerLine {
  const choosePartition = createPartitionChoice();
  let current: Incarnation | null = null;

  return { send, abandon, close };

  async function send(topic: string, messages: readonly OutgoingMessage[]): Promise<Map<number, number>> {
    const mine = current ?? (await open());
    try {
      const answers = await within(
        attemptTimeoutMs,
        `sending to ${topic}`,
        mine.producer.send({
          topic,
          messages: messages as Message[],
          acks: -1,
          timeout: Math.ceil(kafka.requestTimeoutMs / 2),
        }),
      );
      const acknowledged = new Map<number, number>();
      for (const { topicName, partition, errorCode, baseOffset } of answers) {
        if (topicName === topic && errorCode === 0) acknowledged.set(partition, Number(baseOffset ?? -1));
      }
      return acknowledged;
    } catch (error) {
      // Past its time kafkajs may still be trying: cut it off, so that nothing is sent behind our back.
      if (isTimeout(error) || typesOf(error).some((type) => lostSequence.test(type))) abandon();
      throw error;
    }
  }

  async function open(): Promise<Incarnation> {
    const connection = kafka.open();
    const producer = connection.client.producer({
      idempotent: true,
      // The least that kafkajs takes for an idempotent producer: repeating is the caller's, in one place.
      retry: { retries: 1 },
      allowAutoTopicCreation: false,
      metadataMaxAge: 60_000,
      createPartitioner: () => choosePartition,
    });
    try {
      await within(attemptTimeoutMs, 'connecting', producer.connect());
    } catch (error) {
      connection.destroy();
      throw error;
    }
    return (current = { connection, producer });
  }

  function abandon(): void {
    current?.connection.destroy();
    current = null;
  }

  async function close(): Promise<void> {
    const last = current;
    if (last === null) return;
    current = null;
    await within(1_000, 'disconnecting', last.producer.disconnect()).catch(() => undefined);
    last.connection.destroy();
  }
}

/** kafkajs asks at every attempt, also for records it has asked for before; the first answer stays with the record. */
function createPartitionChoice() {
  let keyless = 0;
  return ({
    message,
    partitionMetadata,
  }: {
    message: Message;
    partitionMetadata: readonly unknown[];
  }): number => {
    const outgoing = message as OutgoingMessage;
    outgoing.partition ??=
      outgoing.key === null
        ? keyless++ % partitionMetadata.length
        : partitionOf(outgoing.key, partitionMetadata.length);
    return outgoing.partition;
  };
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'KAFKA_UNAVAILABLE';
}

function typesOf(error: unknown): string[] {
  const types: string[] = [];
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if ('type' in cause && typeof cause.type === 'string') types.push(cause.type);
  }
  return types;
}

import type { Message, Producer as KafkaJsProducer } from 'kafkajs';
import { within, withinOr } from '../../runtime/within.ts';
import type { Kafka, KafkaConnection } from './kafka.ts';
import { LinearlyGrouped } from './patches/linear-grouping.ts';
import { partitionOf } from '../producer/partition.ts';

/** A record on its way. Its partition is chosen at the first attempt and stays. */
export interface OutgoingMessage {
  readonly key: Buffer | string | null;
  readonly value: Buffer | string | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Only of records with headers: the others are stamped where they are encoded. */
  timestamp?: string;
  partition: number | null;
}

/** One kafkajs producer at a time, made when it is needed and thrown away when it cannot be trusted any more. */
export interface ProducerLine {
  /** One attempt: the first offset of every partition that was acknowledged. The rest was not. */
  send(topic: string, messages: readonly OutgoingMessage[], timeoutMs: number): Promise<Map<number, number>>;
  /** Throws the producer away with its id and its sequence numbers. */
  abandon(): void;
  close(): Promise<void>;
}

/** The broker and kafkajs disagree about sequence numbers: only a new producer id helps. */
const lostSequence = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'DUPLICATE_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
]);

export function createProducerLine(kafka: Kafka): ProducerLine {
  const choosePartition = createPartitionChoice();
  let connection: KafkaConnection | null = null;
  let producer: KafkaJsProducer | null = null;

  return { send, abandon, close };

  async function send(
    topic: string,
    messages: readonly OutgoingMessage[],
    timeoutMs: number,
  ): Promise<Map<number, number>> {
    producer ??= await open(timeoutMs);
    for (const message of messages) {
      if (message.headers !== undefined) message.timestamp ??= String(kafka.clock.now());
    }
    const sending = producer.send({
      topic,
      messages: LinearlyGrouped.from(messages as Message[]),
      acks: -1,
      timeout: Math.ceil(kafka.requestTimeoutMs / 2),
    });
    try {
      const acknowledged = new Map<number, number>();
      for (const answer of await within(sending, timeoutMs, 'KAFKA_UNAVAILABLE', `sending to ${topic}`)) {
        const { topicName, partition, errorCode, baseOffset } = answer;
        if (topicName === topic && errorCode === 0) acknowledged.set(partition, Number(baseOffset ?? -1));
      }
      return acknowledged;
    } catch (error) {
      // Past its time kafkajs may still be trying: cut it off, so that nothing is sent behind our back.
      if (isTimeout(error) || typesOf(error).some((type) => lostSequence.has(type))) abandon();
      throw error;
    }
  }

  async function open(timeoutMs: number): Promise<KafkaJsProducer> {
    connection = kafka.open();
    const opened = connection.client.producer({
      idempotent: true,
      // The least that kafkajs takes for an idempotent producer: repeating is the caller's, in one place.
      retry: { retries: 1 },
      allowAutoTopicCreation: false,
      metadataMaxAge: 60_000,
      createPartitioner: () => choosePartition,
    });
    try {
      await within(opened.connect(), timeoutMs, 'KAFKA_UNAVAILABLE', 'connecting');
    } catch (error) {
      abandon();
      throw error;
    }
    return opened;
  }

  function abandon(): void {
    connection?.destroy();
    connection = null;
    producer = null;
  }

  async function close(): Promise<void> {
    if (producer !== null) await withinOr(producer.disconnect(), 1_000, undefined).catch(() => undefined);
    abandon();
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

import type { Message, Producer as KafkaJsProducer } from 'kafkajs';
import { within, withinOr } from '../../runtime/within.ts';
import { partitionOf } from './partition.ts';
import type { Kafka, KafkaConnection } from './kafka.ts';
import { LinearlyGrouped } from './patches/linear-grouping.ts';

/** A record to send. Its partition is selected at the first attempt and does not change. */
export interface OutgoingMessage {
  readonly key: Buffer | string | null;
  readonly value: Buffer | string | null;
  headers?: Readonly<Record<string, string>>;
  /** Set only for records with headers; the encoder sets the timestamp of all other records. */
  timestamp?: string;
  partition: number | null;
}

/**
 * An idempotent producer of kafkajs. The first send connects it. When its sequence numbers are no longer certain, it is
 * destroyed, and the next send connects another producer with a new producer id.
 */
export interface IdempotentProducer {
  /**
   * Makes one attempt to send. Returns the first offset of each acknowledged partition. Records of partitions that are
   * missing in the result may not be stored.
   */
  send(topic: string, messages: readonly OutgoingMessage[], timeoutMs: number): Promise<Map<number, number>>;
  /** Destroys the producer with its id and its sequence numbers. */
  abandon(): void;
  close(): Promise<void>;
}

/**
 * Errors after which the broker and kafkajs have different sequence numbers: only a new producer id can end this state.
 */
const lostSequence = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'DUPLICATE_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
]);

export function createIdempotentProducer(kafka: Kafka): IdempotentProducer {
  const partitioner = createPartitioner();
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
      messages: LinearlyGrouped.group(messages as Message[], partitioner.partitionOf),
      acks: -1,
      timeout: Math.ceil(kafka.requestTimeoutMs / 2),
    });
    try {
      const acknowledged = new Map<number, number>();
      for (const result of await within(sending, timeoutMs, 'KAFKA_UNAVAILABLE', `sending to ${topic}`)) {
        const { topicName, partition, errorCode, baseOffset } = result;
        if (topicName === topic && errorCode === 0) acknowledged.set(partition, Number(baseOffset ?? -1));
      }
      return acknowledged;
    } catch (error) {
      // After a timeout kafkajs may still retry. Destroying its connection ensures that it sends nothing later.
      if (isTimeout(error) || typesOf(error).some((type) => lostSequence.has(type))) abandon();
      throw error;
    }
  }

  async function open(timeoutMs: number): Promise<KafkaJsProducer> {
    connection = kafka.open();
    const opened = connection.client.producer({
      idempotent: true,
      // The smallest value that kafkajs accepts for an idempotent producer. All other retries are made by the caller,
      // in one layer.
      retry: { retries: 1 },
      allowAutoTopicCreation: false,
      metadataMaxAge: 60_000,
      createPartitioner: () => partitioner.select,
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

/** Largest number of keys whose partition is kept in memory. */
const keysMax = 10_000;

/**
 * Selects the partitions of records, at every attempt and also for records that have a partition already. A record keeps the
 * partition of its first attempt.
 */
function createPartitioner() {
  let keyless = 0;
  let partitions = 1;
  let ofKeys = new Map<string, number>();
  return { select, partitionOf: partitionOfMessage };

  /** The function that kafkajs calls. */
  function select({
    message,
    partitionMetadata,
  }: {
    message: Message;
    partitionMetadata: readonly unknown[];
  }): number {
    if (partitionMetadata.length !== partitions) ofKeys = new Map();
    partitions = partitionMetadata.length;
    return partitionOfMessage(message);
  }

  /** The same with the number of partitions of the latest call of `select`. */
  function partitionOfMessage(message: Message): number {
    const outgoing = message as OutgoingMessage;
    outgoing.partition ??= outgoing.key === null ? keyless++ % partitions : partitionOfKey(outgoing.key);
    return outgoing.partition;
  }

  function partitionOfKey(key: Buffer | string): number {
    if (typeof key !== 'string') return partitionOf(key, partitions);
    let partition = ofKeys.get(key);
    if (partition !== undefined) return partition;
    if (ofKeys.size >= keysMax) ofKeys = new Map();
    ofKeys.set(key, (partition = partitionOf(key, partitions)));
    return partition;
  }
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

import type { IHeaders, KafkaMessage } from 'kafkajs';

/** A record as a handler gets it. */
export interface ConsumedMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  /** Null is a tombstone. */
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  /** When Kafka took it or its producer made it, as the topic is configured; Unix milliseconds. */
  readonly timestampMs: number;
}

const noHeaders: Readonly<Record<string, string>> = {};

export function consumedMessage(topic: string, partition: number, message: KafkaMessage): ConsumedMessage {
  return {
    topic,
    partition,
    offset: Number(message.offset),
    key: message.key?.toString() ?? null,
    value: message.value,
    headers: textsOf(message.headers),
    timestampMs: Number(message.timestamp),
  };
}

/** Of a header that is given several times the last one stands. */
function textsOf(headers: IHeaders | undefined): Readonly<Record<string, string>> {
  if (headers === undefined) return noHeaders;
  const texts: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    const last = Array.isArray(value) ? value.at(-1) : value;
    if (last !== undefined) texts[name] = last.toString();
  }
  return texts;
}

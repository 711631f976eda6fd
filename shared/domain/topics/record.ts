/** A record of a Kafka topic, without its place in the log. */
export interface TopicRecord {
  readonly key: string | null;
  /** The bytes of the key, only where they are not UTF-8: `key` is then not exact. */
  readonly keyBytes?: Buffer;
  /** Null is a tombstone. */
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Time of the broker or of the producer, as the topic is configured, in Unix milliseconds; null where the record has none. */
  readonly timestampMs: number | null;
}

/** A record of a Kafka topic without its topic, partition and offset. */
export interface TopicRecord {
  readonly key: string | null;
  /** The bytes of the key. Set only if they are not UTF-8, because `key` then does not equal them. */
  readonly keyBytes?: Buffer;
  /** Null: the record is a tombstone. */
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Timestamp in Unix milliseconds, set by the broker or by the producer as the topic is configured; null if the
   * record has none.
   */
  readonly timestampMs: number | null;
}

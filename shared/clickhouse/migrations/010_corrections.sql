-- Corrections change the row of the event they name and had no row of their own: the loss audit had to read each of them
-- from Kafka again to tell it from a lost record. Applications report the outcome of every request, so there may be as
-- many corrections as requests. Here each one that was applied has its offset and its number in the gateway's spool.
CREATE TABLE IF NOT EXISTS {database}.stored_corrections {on_cluster}
(
    time            DateTime64(3, 'UTC')    COMMENT 'Time of the correction itself' CODEC(Delta(8), ZSTD(1)),
    sequence        UInt64                  COMMENT 'Its number in its gateway''s spool; 0 where none numbered it' CODEC(Delta(8), ZSTD(1)),
    spool           LowCardinality(String)  COMMENT 'Opening of the gateway''s spool that numbered it' CODEC(ZSTD(1)),
    ingested_at     DateTime64(3, 'UTC')    COMMENT 'When the aggregator stored it (UTC, milliseconds)' CODEC(Delta(8), ZSTD(1)),
    kafka_partition UInt16                  COMMENT 'Partition of the usage topic' CODEC(ZSTD(1)),
    kafka_offset    UInt64                  COMMENT 'Offset in its partition' CODEC(Delta(8), ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (kafka_partition, kafka_offset)
TTL toDateTime(time) + INTERVAL {raw_retention_days} DAY
COMMENT 'A correction that was applied to the event it names: what the loss audit counts it by';

-- The outcome of a request changes no usage, so Redis and ClickHouse still have to agree about its tenant.
ALTER TABLE {database}.stored_events {on_cluster}
    ADD COLUMN IF NOT EXISTS usage_revision UInt64 DEFAULT revision
    COMMENT 'The last revision that changed units, cost or whether the event counts; 0 where none did' CODEC(ZSTD(1));

-- This table has the Kafka offset and the sequence number of each applied correction. A correction changes the row of its event
-- and has no row in stored_events. Without this table, the loss audit would have to read each correction from Kafka to
-- distinguish it from a lost record. There may be as many corrections as requests, because applications report the outcome of
-- requests as corrections.
CREATE TABLE IF NOT EXISTS {database}.stored_corrections {on_cluster}
(
    time            DateTime64(3, 'UTC')    COMMENT 'Time of the correction itself' CODEC(Delta(8), ZSTD(1)),
    sequence        UInt64                  COMMENT 'Sequence number in its run of the gateway''s spool; 0 without one' CODEC(Delta(8), ZSTD(1)),
    spool           LowCardinality(String)  COMMENT 'Run id of the gateway''s spool' CODEC(ZSTD(1)),
    ingested_at     DateTime64(3, 'UTC')    COMMENT 'Time at which the aggregator stored it (UTC, milliseconds)' CODEC(Delta(8), ZSTD(1)),
    kafka_partition UInt16                  COMMENT 'Partition of the usage topic' CODEC(ZSTD(1)),
    kafka_offset    UInt64                  COMMENT 'Kafka offset' CODEC(Delta(8), ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (kafka_partition, kafka_offset)
TTL toDateTime(time) + INTERVAL {raw_retention_days} DAY
COMMENT 'Corrections that were applied to their events; the loss audit counts them here';

-- Revision of the last correction that changed usage. The outcome of a request changes no usage, so the loss audit still compares
-- Redis and ClickHouse for the request's tenant.
ALTER TABLE {database}.stored_events {on_cluster}
    ADD COLUMN IF NOT EXISTS usage_revision UInt64 DEFAULT revision
    COMMENT 'Last revision that changed units, cost or voided; 0 without one' CODEC(ZSTD(1));

-- The raw events. Everything else is derived from this table, so a row is written only once it can be kept for good.
--
-- Identity. An event is its time and 74 further bits (id_a, id_b): those of the UUIDv7 where the id is one, else of a
-- hash of (tenant, source, id), and then the id as sent stands in external_id. A UUIDv7's millisecond is kept as its
-- distance from the time, which is nearly nothing; so a request's id costs under 10 bytes instead of 16.
--
-- Order. Minute first: recomputing the current minutes reads one short contiguous range, whatever the history.
-- Tenant second: a tenant's minute is contiguous, and columns that depend on the tenant compress to little.
-- The rest is the identity, in order of time, so that times and offsets are small steps.
-- The minute is a function of the identity: two copies of an event always meet in one part and become one row.
-- (The millisecond is spelled as an expression: as a plain column it would keep conditions on time from the index.)
--
-- A correction is the same key with a higher revision: the Kafka offset of the correction plus one.
-- Bytes are why each codec was chosen; test/bench/pipeline.ts measures them. Latencies arrive rounded to 9 binary
-- digits (0.2 %), which nobody can tell from the network's noise and which halves their size.
CREATE TABLE IF NOT EXISTS {database}.stored_events {on_cluster}
(
    time            DateTime64(3, 'UTC')               CODEC(Delta(8), ZSTD(1)),
    tenant_id       LowCardinality(String)             CODEC(ZSTD(1)),
    id_skew_ms      Int32                              CODEC(T64, ZSTD(1)),
    id_a            UInt16                             CODEC(T64, ZSTD(1)),
    id_b            UInt64                             CODEC(NONE),
    external_id      String                             CODEC(ZSTD(1)),
    revision        UInt64                             CODEC(ZSTD(1)),
    voided          Bool                               CODEC(ZSTD(1)),
    type            LowCardinality(String)             CODEC(ZSTD(1)),
    source          LowCardinality(String)             CODEC(ZSTD(1)),
    user_id         LowCardinality(String)             CODEC(ZSTD(3)),
    plan            LowCardinality(String)             CODEC(ZSTD(1)),
    method          LowCardinality(String)             CODEC(ZSTD(1)),
    route           LowCardinality(String)             CODEC(ZSTD(1)),
    path            LowCardinality(String)             CODEC(ZSTD(1)),
    status          UInt16                             CODEC(ZSTD(1)),
    decision        LowCardinality(String)             CODEC(ZSTD(1)),
    limited_by      Array(LowCardinality(String))      CODEC(ZSTD(1)),
    units           Float64                            CODEC(ZSTD(1)),
    cost            Float64                            CODEC(ZSTD(1)),
    latency_ms      Float32                            CODEC(ZSTD(1)),
    check_us        UInt32                             CODEC(T64, ZSTD(1)),
    node            LowCardinality(String)             CODEC(ZSTD(1)),
    sequence        UInt64                             CODEC(Delta(8), ZSTD(1)),
    degraded        Bool                               CODEC(ZSTD(1)),
    client_ip       LowCardinality(String)             CODEC(ZSTD(3)),
    service         LowCardinality(String)             CODEC(ZSTD(1)),
    entrypoint            LowCardinality(String)             CODEC(ZSTD(1)),
    properties      Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ingested_at     DateTime64(3, 'UTC')               CODEC(Delta(8), ZSTD(1)),
    kafka_partition UInt16                             CODEC(ZSTD(1)),
    kafka_offset    UInt64                             CODEC(Delta(8), ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(time)
ORDER BY (toStartOfMinute(time), tenant_id, toUnixTimestamp64Milli(time), id_a, id_b)
TTL toDateTime(time) + INTERVAL {raw_retention_days} DAY
SETTINGS ttl_only_drop_parts = 1;

-- Where each external id was first seen. A client that sends an id again may give it another time; the event keeps the
-- time it had at the lowest Kafka offset, and a later correction finds the original here. Requests need no entry:
-- their id carries its time.
CREATE TABLE IF NOT EXISTS {database}.stored_ids {on_cluster}
(
    id              UUID                   CODEC(NONE),
    time            DateTime64(3, 'UTC')   CODEC(ZSTD(1)),
    kafka_partition UInt16                 CODEC(ZSTD(1)),
    kafka_offset    UInt64                 CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (id, kafka_partition, kafka_offset)
TTL toDateTime(time) + INTERVAL {raw_retention_days} DAY
SETTINGS index_granularity = 512;

-- What analysts read: one row an event, at any moment. Conditions on time and tenant reach the index.
CREATE OR REPLACE VIEW {database}.usage_events {on_cluster} AS
SELECT
    if(external_id != '', external_id, toString(reinterpretAsUUID(bitOr(
        toUInt128(bitOr(bitShiftLeft(toUInt64(toUnixTimestamp64Milli(time) + id_skew_ms), 16), bitOr(toUInt64(0x7000), id_a))),
        bitShiftLeft(toUInt128(bitOr(id_b, toUInt64(0x8000000000000000))), 64))))) AS event_id,
    time, tenant_id, user_id, plan,
    if(source = '', concat('tollgate/', node), source) AS source,
    type, method, route, path, status, decision, limited_by, units, cost,
    latency_ms, check_us, node, sequence, degraded, client_ip, service, entrypoint, ingested_at, properties,
    kafka_partition, kafka_offset
FROM {database}.stored_events FINAL
WHERE NOT voided
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- The raw events. All totals are computed from this table.
--
-- Identity: an event is identified by its time and 74 more bits (id_a, id_b). For a request these bits are a part of its UUIDv7.
-- For another event they are a part of a hash of (tenant, source, id), and external_id holds the id that the client sent. The
-- millisecond of a UUIDv7 is stored as its difference from the event's time, usually 0, so a request's id takes less than 10
-- bytes instead of 16.
--
-- Sort key: the minute is first, so that computing the totals of recent minutes again reads one short contiguous range. The
-- tenant is second, so that the rows of a tenant's minute are contiguous and columns that depend on the tenant compress well. The
-- identity is last and ordered by time, so that neighbouring times and offsets have small differences. The identity determines
-- the minute, so two copies of an event have the same key and are merged into one row. (The millisecond is an expression in the
-- key: as a plain column it would prevent conditions on time from using the index.)
--
-- A correction is a row with the same key and a higher revision: the Kafka offset of the correction plus 1. Codecs are chosen by
-- size, which test/bench/pipeline.ts measures. Latencies are rounded to 9 binary digits, which halves their size. The error of
-- 0.2 % is less than the network's variation. Most events have no usage of a call: maps without LowCardinality keys cost an
-- insert of these events the least.
CREATE TABLE IF NOT EXISTS {database}.stored_events {on_cluster}
(
    time            DateTime64(3, 'UTC')               CODEC(Delta(8), ZSTD(1)),
    tenant_id       LowCardinality(String)             CODEC(ZSTD(1)),
    id_skew_ms      Int32                              CODEC(T64, ZSTD(1)),
    id_a            UInt16                             CODEC(T64, ZSTD(1)),
    id_b            UInt64                             CODEC(NONE),
    external_id     String                             CODEC(ZSTD(1)),
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
    entrypoint      LowCardinality(String)             CODEC(ZSTD(1)),
    properties      Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    model           LowCardinality(String)             CODEC(ZSTD(1)),
    quantities      Map(String, Decimal(38, 12)) CODEC(ZSTD(1)),
    measures        Map(String, UInt64) CODEC(ZSTD(1)),
    usage_source    LowCardinality(String)             CODEC(ZSTD(1)),
    reservation     LowCardinality(String)             CODEC(ZSTD(1)),
    reservation_id  String                             CODEC(ZSTD(1)),
    reserved        Map(String, Decimal(38, 12)) CODEC(ZSTD(1)),
    reserved_until  DateTime('UTC')                    CODEC(ZSTD(1)),
    settlement      UInt16                             CODEC(ZSTD(1)),
    ingested_at     DateTime64(3, 'UTC')               CODEC(Delta(8), ZSTD(1)),
    kafka_partition UInt16                             CODEC(ZSTD(1)),
    kafka_offset    UInt64                             CODEC(Delta(8), ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(time)
ORDER BY (toStartOfMinute(time), tenant_id, toUnixTimestamp64Milli(time), id_a, id_b)
TTL toDateTime(time) + INTERVAL {raw_retention_days} DAY
SETTINGS ttl_only_drop_parts = 1;

-- The first Kafka offset of each external id, and the time of the event at this offset. If a client sends an id again with
-- another time, the event keeps the time from its lowest offset. This table also gives a later correction the time of its event.
-- Requests need no row here, because their id contains the time.
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

-- View for analysts: it returns one row for each event, also before ClickHouse has merged the rows. Conditions on time and tenant
-- use the index.
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

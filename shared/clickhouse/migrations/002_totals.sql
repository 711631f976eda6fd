-- Totals. Each level is computed again from the level below it, never incremented.
--
-- A row's version is the number of events in its group plus their revisions; hours sum the versions of their minutes,
-- days those of their hours. Events are never removed and a correction only raises a revision, so of two rows of a group
-- the one with the higher version is the newer one, and equal versions have equal contents. A writer that was paused for
-- an hour can therefore finish late without any effect. A group cannot vanish: a voided event keeps its plan, route,
-- type and decision, and its group shows zeros.

-- Hour first, then tenant: the minutes of a tenant's hour, which are summed for stored_hours, are contiguous.
CREATE TABLE IF NOT EXISTS {database}.stored_minutes {on_cluster}
(
    minute    DateTime('UTC')        CODEC(Delta(4), ZSTD(1)),
    tenant_id LowCardinality(String) CODEC(ZSTD(1)),
    plan      LowCardinality(String) CODEC(ZSTD(1)),
    route     LowCardinality(String) CODEC(ZSTD(1)),
    type      LowCardinality(String) CODEC(ZSTD(1)),
    decision  LowCardinality(String) CODEC(ZSTD(1)),
    requests  UInt64                 CODEC(T64, ZSTD(1)),
    errors    UInt64                 CODEC(T64, ZSTD(1)),
    units     Float64                CODEC(ZSTD(1)),
    cost      Float64                CODEC(ZSTD(1)),
    latency   AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float32) CODEC(ZSTD(1)),
    version   UInt64                 CODEC(T64, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (toStartOfHour(minute), tenant_id, minute, plan, route, type, decision);

-- Tenant first: the hours of a tenant's month are one short read, independent of the number of tenants.
CREATE TABLE IF NOT EXISTS {database}.stored_hours {on_cluster}
(
    hour      DateTime('UTC')        CODEC(Delta(4), ZSTD(1)),
    tenant_id LowCardinality(String) CODEC(ZSTD(1)),
    plan      LowCardinality(String) CODEC(ZSTD(1)),
    route     LowCardinality(String) CODEC(ZSTD(1)),
    type      LowCardinality(String) CODEC(ZSTD(1)),
    decision  LowCardinality(String) CODEC(ZSTD(1)),
    requests  UInt64                 CODEC(T64, ZSTD(1)),
    errors    UInt64                 CODEC(T64, ZSTD(1)),
    units     Float64                CODEC(ZSTD(1)),
    cost      Float64                CODEC(ZSTD(1)),
    latency   AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float32) CODEC(ZSTD(1)),
    version   UInt64                 CODEC(T64, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant_id, hour, plan, route, type, decision);

CREATE TABLE IF NOT EXISTS {database}.stored_days {on_cluster}
(
    day       Date                   CODEC(Delta(2), ZSTD(1)),
    tenant_id LowCardinality(String) CODEC(ZSTD(1)),
    plan      LowCardinality(String) CODEC(ZSTD(1)),
    route     LowCardinality(String) CODEC(ZSTD(1)),
    type      LowCardinality(String) CODEC(ZSTD(1)),
    decision  LowCardinality(String) CODEC(ZSTD(1)),
    requests  UInt64                 CODEC(T64, ZSTD(1)),
    errors    UInt64                 CODEC(T64, ZSTD(1)),
    units     Float64                CODEC(ZSTD(1)),
    cost      Float64                CODEC(ZSTD(1)),
    latency   AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float32) CODEC(ZSTD(1)),
    version   UInt64                 CODEC(T64, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(day)
ORDER BY (tenant_id, day, plan, route, type, decision);

-- `requests` counts events of every type; `allowed` those that passed the limits (also shadow_limited), `errors` those with
-- a status of 500 or above. Latencies are in milliseconds; latency_state can be merged over rows:
-- quantilesTDigestMerge(0.5, 0.95, 0.99)(latency_state).
CREATE OR REPLACE VIEW {database}.usage_by_minute {on_cluster} AS
SELECT
    minute, tenant_id, plan, route, type, decision, requests,
    if(decision IN ('allowed', 'shadow_limited'), requests, 0) AS allowed,
    if(decision = 'limited', requests, 0) AS limited,
    if(decision = 'bypassed', requests, 0) AS bypassed,
    errors, units, cost,
    finalizeAggregation(latency)[1] AS latency_p50,
    finalizeAggregation(latency)[2] AS latency_p95,
    finalizeAggregation(latency)[3] AS latency_p99,
    latency AS latency_state
FROM {database}.stored_minutes FINAL
WHERE requests > 0
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW {database}.usage_by_hour {on_cluster} AS
SELECT
    hour, tenant_id, plan, route, type, decision, requests,
    if(decision IN ('allowed', 'shadow_limited'), requests, 0) AS allowed,
    if(decision = 'limited', requests, 0) AS limited,
    if(decision = 'bypassed', requests, 0) AS bypassed,
    errors, units, cost,
    finalizeAggregation(latency)[1] AS latency_p50,
    finalizeAggregation(latency)[2] AS latency_p95,
    finalizeAggregation(latency)[3] AS latency_p99,
    latency AS latency_state
FROM {database}.stored_hours FINAL
WHERE requests > 0
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW {database}.usage_by_day {on_cluster} AS
SELECT
    day, tenant_id, plan, route, type, decision, requests,
    if(decision IN ('allowed', 'shadow_limited'), requests, 0) AS allowed,
    if(decision = 'limited', requests, 0) AS limited,
    if(decision = 'bypassed', requests, 0) AS bypassed,
    errors, units, cost,
    finalizeAggregation(latency)[1] AS latency_p50,
    finalizeAggregation(latency)[2] AS latency_p95,
    finalizeAggregation(latency)[3] AS latency_p99,
    latency AS latency_state
FROM {database}.stored_days FINAL
WHERE requests > 0
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- Totals by minute, hour and day. Each level is always computed again from the level below it and never incremented.
--
-- The version of a minute's row is the number of events of its tenant in the minute plus the sum of their revisions. The version
-- of an hour is the sum of its minutes' versions, and the version of a day is the sum of its hours' versions. Events are never
-- removed, and a correction only raises a revision. So of two rows of a group, the row with the higher version is newer, and
-- equal versions have equal contents. A writer that was paused for an hour and then finishes therefore changes nothing. A voided
-- event stays in its group, which then has zeros. A correction that sets the model of an event moves the event to another group;
-- the row of the former group is written again, with zeros if the group is empty.

-- The sort key begins with the hour and the tenant, so that the minutes of a tenant's hour, which are summed for stored_hours,
-- are contiguous.
CREATE TABLE IF NOT EXISTS {database}.stored_minutes {on_cluster}
(
    minute    DateTime('UTC')        CODEC(Delta(4), ZSTD(1)),
    tenant_id LowCardinality(String) CODEC(ZSTD(1)),
    plan      LowCardinality(String) CODEC(ZSTD(1)),
    route     LowCardinality(String) CODEC(ZSTD(1)),
    type      LowCardinality(String) CODEC(ZSTD(1)),
    decision  LowCardinality(String) CODEC(ZSTD(1)),
    model     LowCardinality(String) CODEC(ZSTD(1)),
    requests  UInt64                 CODEC(T64, ZSTD(1)),
    errors    UInt64                 CODEC(T64, ZSTD(1)),
    units     Float64                CODEC(ZSTD(1)),
    cost      Float64                CODEC(ZSTD(1)),
    quantities Map(String, Decimal(38, 12)) CODEC(ZSTD(1)),
    reserved  Map(String, Decimal(38, 12)) CODEC(ZSTD(1)),
    reserved_units Float64           CODEC(ZSTD(1)),
    latency   AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float32) CODEC(ZSTD(1)),
    version   UInt64                 CODEC(T64, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (toStartOfHour(minute), tenant_id, minute, plan, route, type, decision, model);

-- The sort key begins with the tenant, so that reading the hours of a tenant's month is short and independent of the number of
-- tenants.
CREATE TABLE IF NOT EXISTS {database}.stored_hours {on_cluster}
(
    hour      DateTime('UTC')        CODEC(Delta(4), ZSTD(1)),
    tenant_id LowCardinality(String) CODEC(ZSTD(1)),
    plan      LowCardinality(String) CODEC(ZSTD(1)),
    route     LowCardinality(String) CODEC(ZSTD(1)),
    type      LowCardinality(String) CODEC(ZSTD(1)),
    decision  LowCardinality(String) CODEC(ZSTD(1)),
    model     LowCardinality(String) CODEC(ZSTD(1)),
    requests  UInt64                 CODEC(T64, ZSTD(1)),
    errors    UInt64                 CODEC(T64, ZSTD(1)),
    units     Float64                CODEC(ZSTD(1)),
    cost      Float64                CODEC(ZSTD(1)),
    quantities Map(String, Decimal(38, 12)) CODEC(ZSTD(1)),
    reserved  Map(String, Decimal(38, 12)) CODEC(ZSTD(1)),
    reserved_units Float64           CODEC(ZSTD(1)),
    latency   AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float32) CODEC(ZSTD(1)),
    version   UInt64                 CODEC(T64, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant_id, hour, plan, route, type, decision, model);

CREATE TABLE IF NOT EXISTS {database}.stored_days {on_cluster}
(
    day       Date                   CODEC(Delta(2), ZSTD(1)),
    tenant_id LowCardinality(String) CODEC(ZSTD(1)),
    plan      LowCardinality(String) CODEC(ZSTD(1)),
    route     LowCardinality(String) CODEC(ZSTD(1)),
    type      LowCardinality(String) CODEC(ZSTD(1)),
    decision  LowCardinality(String) CODEC(ZSTD(1)),
    model     LowCardinality(String) CODEC(ZSTD(1)),
    requests  UInt64                 CODEC(T64, ZSTD(1)),
    errors    UInt64                 CODEC(T64, ZSTD(1)),
    units     Float64                CODEC(ZSTD(1)),
    cost      Float64                CODEC(ZSTD(1)),
    quantities Map(String, Decimal(38, 12)) CODEC(ZSTD(1)),
    reserved  Map(String, Decimal(38, 12)) CODEC(ZSTD(1)),
    reserved_units Float64           CODEC(ZSTD(1)),
    latency   AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float32) CODEC(ZSTD(1)),
    version   UInt64                 CODEC(T64, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(day)
ORDER BY (tenant_id, day, plan, route, type, decision, model);

-- `requests` counts events of every type, `allowed` events that passed the limits (including shadow_limited), and `errors` events
-- with a status of 500 or above. Latencies are in milliseconds. Quantiles over several rows are computed from latency_state:
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

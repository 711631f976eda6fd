-- For each partition of the usage topic, the time up to which its events are stored and included in the totals. A row never
-- becomes wrong later, so the row with the latest time is correct, whichever process wrote it.
CREATE TABLE IF NOT EXISTS {database}.pipeline_progress {on_cluster}
(
    topic            LowCardinality(String),
    kafka_partition  UInt16,
    complete_through DateTime64(3, 'UTC'),
    kafka_offset     UInt64 COMMENT 'Next offset to read'
)
ENGINE = {replicated}ReplacingMergeTree(complete_through)
ORDER BY (topic, kafka_partition);

-- The newest record of each tenant on the tenants topic. Secrets (webhook secrets, key hashes) are not stored; boosts are stored
-- as JSON text for display.
CREATE TABLE IF NOT EXISTS {database}.stored_tenants {on_cluster}
(
    tenant_id     String,
    plan          LowCardinality(String),
    display_name  String,
    time_zone     LowCardinality(String),
    overrides     Map(LowCardinality(String), Float64),
    boosts        String,
    blocked_until Nullable(DateTime64(3, 'UTC')),
    blocked       Bool,
    api_keys      UInt16,
    updated_at    DateTime64(3, 'UTC'),
    updated_by    String,
    removed       Bool,
    kafka_offset  UInt64
)
ENGINE = {replicated}ReplacingMergeTree(kafka_offset)
ORDER BY tenant_id;

CREATE OR REPLACE VIEW {database}.tenants {on_cluster} AS
SELECT tenant_id, plan, display_name, time_zone, overrides, boosts, blocked, blocked_until, api_keys,
       updated_at, updated_by
FROM {database}.stored_tenants FINAL
WHERE NOT removed;

-- Alerts and the state of their delivery. The row of an alert with the most attempts is the newest.
CREATE TABLE IF NOT EXISTS {database}.stored_alerts {on_cluster}
(
    alert_id     String,
    time         DateTime64(3, 'UTC'),
    tenant_id    LowCardinality(String),
    kind         LowCardinality(String),
    limit_name   LowCardinality(String),
    threshold    Float64,
    period       DateTime64(3, 'UTC'),
    used         Float64,
    `limit`      Float64,
    exhausted_at Nullable(DateTime64(3, 'UTC')),
    channel      LowCardinality(String),
    target       String,
    status       LowCardinality(String),
    attempts     UInt32,
    error        String
)
ENGINE = {replicated}ReplacingMergeTree(attempts)
ORDER BY (tenant_id, alert_id, channel, target)
TTL toDateTime(time) + INTERVAL {raw_retention_days} DAY;

CREATE OR REPLACE VIEW {database}.alerts {on_cluster} AS
SELECT alert_id, time, tenant_id, kind, limit_name, threshold, period, used, `limit`, exhausted_at,
       channel, target, status, attempts, error
FROM {database}.stored_alerts FINAL;

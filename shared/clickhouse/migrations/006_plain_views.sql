-- Views without columns of a type that only few drivers can read. The aggregate state of the latencies has this kind of type, so
-- it moves to separate views (`_states`) with the same rows. Quantiles of several rows must not be averaged; they are computed
-- from the states: quantilesTDigestMerge(0.5, 0.95, 0.99)(latency_state).
CREATE OR REPLACE VIEW {database}.usage_events {on_cluster} AS
SELECT
    if(external_id != '', external_id, toString(reinterpretAsUUID(bitOr(
        toUInt128(bitOr(bitShiftLeft(toUInt64(toUnixTimestamp64Milli(time) + id_skew_ms), 16), bitOr(toUInt64(0x7000), id_a))),
        bitShiftLeft(toUInt128(bitOr(id_b, toUInt64(0x8000000000000000))), 64))))) AS event_id,
    time, tenant_id, user_id, plan,
    if(source = '', concat('tollgate/', node), source) AS source,
    type, method, route, path, status, decision, limited_by, units, cost_exact AS cost,
    latency_ms, check_us, node, sequence, degraded, client_ip, service, entrypoint, ingested_at, properties,
    model, quantities, measures, usage_source,
    reservation, if(reservation = '', '', if(reservation_id = '', event_id, reservation_id)) AS reservation_id, reserved,
    reserved_until, kafka_partition, kafka_offset
FROM {database}.stored_events FINAL
WHERE NOT voided
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW {database}.usage_by_minute {on_cluster} AS
SELECT
    minute, tenant_id, plan, route, type, decision, model, requests,
    if(decision IN ('allowed', 'shadow_limited'), requests, 0) AS allowed,
    if(decision = 'limited', requests, 0) AS limited,
    if(decision = 'bypassed', requests, 0) AS bypassed,
    errors, units, cost_exact AS cost, quantities, reserved, reserved_units,
    finalizeAggregation(latency)[1] AS latency_p50,
    finalizeAggregation(latency)[2] AS latency_p95,
    finalizeAggregation(latency)[3] AS latency_p99
FROM {database}.stored_minutes FINAL
WHERE requests > 0
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW {database}.usage_by_minute_states {on_cluster} AS
SELECT
    minute, tenant_id, plan, route, type, decision, model, requests,
    if(decision IN ('allowed', 'shadow_limited'), requests, 0) AS allowed,
    if(decision = 'limited', requests, 0) AS limited,
    if(decision = 'bypassed', requests, 0) AS bypassed,
    errors, units, cost_exact AS cost, quantities, reserved, reserved_units,
    latency AS latency_state
FROM {database}.stored_minutes FINAL
WHERE requests > 0
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW {database}.usage_by_hour {on_cluster} AS
SELECT
    hour, tenant_id, plan, route, type, decision, model, requests,
    if(decision IN ('allowed', 'shadow_limited'), requests, 0) AS allowed,
    if(decision = 'limited', requests, 0) AS limited,
    if(decision = 'bypassed', requests, 0) AS bypassed,
    errors, units, cost_exact AS cost, quantities, reserved, reserved_units,
    finalizeAggregation(latency)[1] AS latency_p50,
    finalizeAggregation(latency)[2] AS latency_p95,
    finalizeAggregation(latency)[3] AS latency_p99
FROM {database}.stored_hours FINAL
WHERE requests > 0
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW {database}.usage_by_hour_states {on_cluster} AS
SELECT
    hour, tenant_id, plan, route, type, decision, model, requests,
    if(decision IN ('allowed', 'shadow_limited'), requests, 0) AS allowed,
    if(decision = 'limited', requests, 0) AS limited,
    if(decision = 'bypassed', requests, 0) AS bypassed,
    errors, units, cost_exact AS cost, quantities, reserved, reserved_units,
    latency AS latency_state
FROM {database}.stored_hours FINAL
WHERE requests > 0
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW {database}.usage_by_day {on_cluster} AS
SELECT
    day, tenant_id, plan, route, type, decision, model, requests,
    if(decision IN ('allowed', 'shadow_limited'), requests, 0) AS allowed,
    if(decision = 'limited', requests, 0) AS limited,
    if(decision = 'bypassed', requests, 0) AS bypassed,
    errors, units, cost_exact AS cost, quantities, reserved, reserved_units,
    finalizeAggregation(latency)[1] AS latency_p50,
    finalizeAggregation(latency)[2] AS latency_p95,
    finalizeAggregation(latency)[3] AS latency_p99
FROM {database}.stored_days FINAL
WHERE requests > 0
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW {database}.usage_by_day_states {on_cluster} AS
SELECT
    day, tenant_id, plan, route, type, decision, model, requests,
    if(decision IN ('allowed', 'shadow_limited'), requests, 0) AS allowed,
    if(decision = 'limited', requests, 0) AS limited,
    if(decision = 'bypassed', requests, 0) AS bypassed,
    errors, units, cost_exact AS cost, quantities, reserved, reserved_units,
    latency AS latency_state
FROM {database}.stored_days FINAL
WHERE requests > 0
SETTINGS do_not_merge_across_partitions_select_final = 1;

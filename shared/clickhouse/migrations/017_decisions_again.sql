-- The policy that decided about each request, and the time of its decision in Redis. With them, a backtest decides recorded
-- requests again in their exact order (see shared/backtest). The view is replaced, so its comments are written again.
ALTER TABLE {database}.stored_events {on_cluster} ADD COLUMN IF NOT EXISTS
    policy_revision LowCardinality(String) COMMENT 'Revision of the policy that decided: the first 12 hex digits of the SHA-256 of its file; empty for events of API servers, and before this column existed' CODEC(ZSTD(1)) AFTER api_key;

ALTER TABLE {database}.stored_events {on_cluster} ADD COLUMN IF NOT EXISTS
    decided_after_us Int32 COMMENT 'Microseconds from time to the decision in Redis, by the clock of Redis; 0 if Redis was not called' CODEC(T64, ZSTD(1)) AFTER policy_revision;

CREATE OR REPLACE VIEW {database}.usage_events {on_cluster} AS
SELECT
    if(external_id != '', external_id, toString(reinterpretAsUUID(bitOr(
        toUInt128(bitOr(bitShiftLeft(toUInt64(toUnixTimestamp64Milli(time) + id_skew_ms), 16), bitOr(toUInt64(0x7000), id_a))),
        bitShiftLeft(toUInt128(bitOr(id_b, toUInt64(0x8000000000000000))), 64))))) AS event_id,
    time, tenant_id, user_id, plan,
    if(source = '', concat('tollgate/', node), source) AS source,
    type, method, route, path, status, decision, limited_by, units, cost_exact AS cost,
    latency_ms, check_us, node, sequence, degraded, client_ip, service, entrypoint, api_key, policy_revision, decided_after_us, ingested_at, properties,
    model, quantities, measures, usage_source,
    reservation, if(reservation = '', '', if(reservation_id = '', event_id, reservation_id)) AS reservation_id, reserved,
    reserved_until, kafka_partition, kafka_offset
FROM {database}.stored_events FINAL
WHERE NOT voided
SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE {database}.usage_events {on_cluster}
    COMMENT COLUMN event_id 'Event id: the decision id of a request, or the id as sent by the API server',
    COMMENT COLUMN time 'Time of the event; for a request, of its decision (UTC, milliseconds)',
    COMMENT COLUMN tenant_id 'Tenant. anonymous: callers without a tenant; tollgate-heartbeat: events by which Tollgate tests its own pipeline',
    COMMENT COLUMN type 'CloudEvents type. tollgate.request.v1: a request; all others: events of API servers',
    COMMENT COLUMN source 'CloudEvents source: the API server, or tollgate/<node> for requests',
    COMMENT COLUMN user_id 'User of the tenant; empty without a user',
    COMMENT COLUMN plan 'Plan that applied to the request; for an event of an API server the plan in the event, often empty',
    COMMENT COLUMN method 'HTTP method; empty for events of API servers',
    COMMENT COLUMN route 'Route of the policy, e.g. POST /agent/chat; * if no route matched',
    COMMENT COLUMN path 'Path of the request without the query',
    COMMENT COLUMN status 'HTTP status of the response; 0 for events of API servers',
    COMMENT COLUMN decision 'allowed; limited: refused; bypassed: service token, not checked; shadow_limited: over a limit in shadow mode, served',
    COMMENT COLUMN limited_by 'Names of the limits that the request exceeded, or the reason of another refusal, e.g. blocked, unauthenticated',
    COMMENT COLUMN units 'Units of the event. A refused request has its units too, but consumes none: exclude decision limited from sums',
    COMMENT COLUMN cost 'Cost in the currency of the prices: units × price of the route, exact to 12 decimals. A refused request has a cost too, but costs nothing: exclude decision limited from sums',
    COMMENT COLUMN latency_ms 'Milliseconds from the request to its response, rounded to 0.2 %',
    COMMENT COLUMN check_us 'Duration of the check against the limits in microseconds',
    COMMENT COLUMN node 'Gateway that made the decision',
    COMMENT COLUMN sequence 'Sequence number of the event in its run of the gateway''s spool',
    COMMENT COLUMN degraded 'True if the gateway decided without Redis',
    COMMENT COLUMN client_ip 'Address of the caller',
    COMMENT COLUMN service 'Internal service whose token bypassed the limits; empty for all other requests',
    COMMENT COLUMN entrypoint 'Entrypoint of the gateway: proxy, plugin, check, authz, rls, events',
    COMMENT COLUMN api_key 'Name of the request''s API key: the first 12 hex digits of its SHA-256; empty without a key, and before this column existed',
    COMMENT COLUMN policy_revision 'Revision of the policy that decided: the first 12 hex digits of the SHA-256 of its file; empty for events of API servers, and before this column existed',
    COMMENT COLUMN decided_after_us 'Microseconds from time to the decision in Redis, by the clock of Redis; 0 if Redis was not called',
    COMMENT COLUMN ingested_at 'Time at which the aggregator stored the event (UTC, milliseconds)',
    COMMENT COLUMN properties 'Fields of the data of an API server''s event without a column, as text',
    COMMENT COLUMN model 'Model that the caller requested, for calls of models; else empty',
    COMMENT COLUMN quantities 'Amounts by quantity of the policy, e.g. tokens or usd, in its unit and exact to 12 decimals: what quotas count. The reserved amounts while the reservation is open. Exclude decision limited from sums',
    COMMENT COLUMN measures 'Measures of the call by name, e.g. input_tokens',
    COMMENT COLUMN usage_source 'Source of the measures: reported by the upstream, measured by Tollgate, or estimated; empty without measures',
    COMMENT COLUMN reservation 'State of the reservation: open, settled or cancelled; empty without one',
    COMMENT COLUMN reservation_id 'Id of the reservation; empty without one',
    COMMENT COLUMN reserved 'Amounts by quantity that were reserved before the call',
    COMMENT COLUMN reserved_until 'End of the reservation (UTC); an open one is expired after it',
    COMMENT COLUMN kafka_partition 'Partition of the usage topic',
    COMMENT COLUMN kafka_offset 'Kafka offset in the partition',
    MODIFY COMMENT 'One row for each event: a request, or an event of an API server. Always restrict time in a query';

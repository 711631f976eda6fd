-- Comments of every table and column, which clients, BI tools and `DESCRIBE` show. A later migration that replaces a view must
-- write the view's comments again. A test finds tables, views and columns without a comment.
ALTER TABLE {database}.stored_events {on_cluster}
    COMMENT COLUMN time 'Time of the event; for a request, of its decision (UTC, milliseconds)',
    COMMENT COLUMN tenant_id 'Tenant. anonymous: callers without a tenant; tollgate-heartbeat: events by which Tollgate tests its own pipeline',
    COMMENT COLUMN id_skew_ms 'Milliseconds: time in the UUIDv7 of a request minus the time of the event',
    COMMENT COLUMN id_a '12 bits of the id',
    COMMENT COLUMN id_b '62 bits of the id',
    COMMENT COLUMN external_id 'Id as sent, if it is not the UUIDv7 of a request; else empty',
    COMMENT COLUMN revision '0 as first sent, else the Kafka offset of the last correction plus 1. Of several rows of an event the one with the highest revision is valid',
    COMMENT COLUMN voided 'True if a correction voided the event',
    COMMENT COLUMN type 'CloudEvents type. tollgate.request.v1: a request; all others: events of API servers',
    COMMENT COLUMN source 'CloudEvents source; empty where it is tollgate/<node>',
    COMMENT COLUMN user_id 'User of the tenant; empty without a user',
    COMMENT COLUMN plan 'Plan that applied to the request; for an event of an API server the plan in the event, often empty',
    COMMENT COLUMN method 'HTTP method; empty for events of API servers',
    COMMENT COLUMN route 'Route of the policy, e.g. POST /agent/chat; * if no route matched',
    COMMENT COLUMN path 'Path of the request without the query',
    COMMENT COLUMN status 'HTTP status of the response; 0 for events of API servers',
    COMMENT COLUMN decision 'allowed; limited: refused; bypassed: service token, not checked; shadow_limited: over a limit in shadow mode, served',
    COMMENT COLUMN limited_by 'Names of the limits that the request exceeded, or the reason of another refusal, e.g. blocked, unauthenticated',
    COMMENT COLUMN units 'Units of the event. A refused request has its units too, but consumes none: exclude decision limited from sums',
    COMMENT COLUMN cost 'Not used since migration 005; see cost_exact',
    COMMENT COLUMN cost_exact 'Cost in the currency of the prices: units × price of the route, exact to 12 decimals. A refused request has a cost too, but costs nothing: exclude decision limited from sums',
    COMMENT COLUMN latency_ms 'Milliseconds from the request to its response, rounded to 0.2 %',
    COMMENT COLUMN check_us 'Duration of the check against the limits in microseconds',
    COMMENT COLUMN node 'Gateway that made the decision',
    COMMENT COLUMN sequence 'Sequence number of the event in its run of the gateway''s spool',
    COMMENT COLUMN degraded 'True if the gateway decided without Redis',
    COMMENT COLUMN client_ip 'Address of the caller',
    COMMENT COLUMN service 'Internal service whose token bypassed the limits; empty for all other requests',
    COMMENT COLUMN entrypoint 'Entrypoint of the gateway: proxy, plugin, check, authz, rls, events',
    COMMENT COLUMN properties 'Fields of the data of an API server''s event without a column, as text',
    COMMENT COLUMN ingested_at 'Time at which the aggregator stored the event (UTC, milliseconds)',
    COMMENT COLUMN kafka_partition 'Partition of the usage topic',
    COMMENT COLUMN kafka_offset 'Kafka offset in the partition',
    COMMENT COLUMN spool 'Run id of the gateway''s spool; sequence numbers are contiguous within a run',
    MODIFY COMMENT 'Usage events, possibly several versions of each: read the view usage_events';

ALTER TABLE {database}.stored_ids {on_cluster}
    COMMENT COLUMN id 'Hash of tenant, source and id',
    COMMENT COLUMN time 'Time of the event at its first offset',
    COMMENT COLUMN kafka_partition 'Partition of the first offset',
    COMMENT COLUMN kafka_offset 'First Kafka offset of the id',
    MODIFY COMMENT 'First Kafka offset of each id of an API server: a repeated event is not counted again';

ALTER TABLE {database}.stored_minutes {on_cluster}
    COMMENT COLUMN minute 'Start of the minute (UTC)',
    COMMENT COLUMN plan 'Plan',
    COMMENT COLUMN route 'Route of the policy; * if no route matched',
    COMMENT COLUMN type 'CloudEvents type. tollgate.request.v1: a request',
    COMMENT COLUMN decision 'allowed, limited, bypassed or shadow_limited',
    COMMENT COLUMN tenant_id 'Tenant',
    COMMENT COLUMN requests 'Number of events of every type; for requests only, select type tollgate.request.v1',
    COMMENT COLUMN errors 'Number of events with a status of 500 or above',
    COMMENT COLUMN units 'Sum of units, those of refused requests included: exclude decision limited from sums',
    COMMENT COLUMN cost 'Not used since migration 005; see cost_exact',
    COMMENT COLUMN cost_exact 'Sum of cost in the currency of the prices, exact to 12 decimals, that of refused requests included: exclude decision limited from sums',
    COMMENT COLUMN latency 'State of quantilesTDigest(0.5, 0.95, 0.99) of the latency in milliseconds; merge it with quantilesTDigestMerge(0.5, 0.95, 0.99)',
    COMMENT COLUMN version 'Number of events in the group plus their revisions. Of several rows of a key the one with the highest version is valid',
    MODIFY COMMENT 'Totals by minute, possibly several versions of each row: read the view usage_by_minute';

ALTER TABLE {database}.stored_hours {on_cluster}
    COMMENT COLUMN hour 'Start of the hour (UTC)',
    COMMENT COLUMN plan 'Plan',
    COMMENT COLUMN route 'Route of the policy; * if no route matched',
    COMMENT COLUMN type 'CloudEvents type. tollgate.request.v1: a request',
    COMMENT COLUMN decision 'allowed, limited, bypassed or shadow_limited',
    COMMENT COLUMN tenant_id 'Tenant',
    COMMENT COLUMN requests 'Number of events of every type; for requests only, select type tollgate.request.v1',
    COMMENT COLUMN errors 'Number of events with a status of 500 or above',
    COMMENT COLUMN units 'Sum of units, those of refused requests included: exclude decision limited from sums',
    COMMENT COLUMN cost 'Not used since migration 005; see cost_exact',
    COMMENT COLUMN cost_exact 'Sum of cost in the currency of the prices, exact to 12 decimals, that of refused requests included: exclude decision limited from sums',
    COMMENT COLUMN latency 'State of quantilesTDigest(0.5, 0.95, 0.99) of the latency in milliseconds; merge it with quantilesTDigestMerge(0.5, 0.95, 0.99)',
    COMMENT COLUMN version 'Number of events in the group plus their revisions. Of several rows of a key the one with the highest version is valid',
    MODIFY COMMENT 'Totals by hour, possibly several versions of each row: read the view usage_by_hour';

ALTER TABLE {database}.stored_days {on_cluster}
    COMMENT COLUMN day 'Day (UTC)',
    COMMENT COLUMN plan 'Plan',
    COMMENT COLUMN route 'Route of the policy; * if no route matched',
    COMMENT COLUMN type 'CloudEvents type. tollgate.request.v1: a request',
    COMMENT COLUMN decision 'allowed, limited, bypassed or shadow_limited',
    COMMENT COLUMN tenant_id 'Tenant',
    COMMENT COLUMN requests 'Number of events of every type; for requests only, select type tollgate.request.v1',
    COMMENT COLUMN errors 'Number of events with a status of 500 or above',
    COMMENT COLUMN units 'Sum of units, those of refused requests included: exclude decision limited from sums',
    COMMENT COLUMN cost 'Not used since migration 005; see cost_exact',
    COMMENT COLUMN cost_exact 'Sum of cost in the currency of the prices, exact to 12 decimals, that of refused requests included: exclude decision limited from sums',
    COMMENT COLUMN latency 'State of quantilesTDigest(0.5, 0.95, 0.99) of the latency in milliseconds; merge it with quantilesTDigestMerge(0.5, 0.95, 0.99)',
    COMMENT COLUMN version 'Number of events in the group plus their revisions. Of several rows of a key the one with the highest version is valid',
    MODIFY COMMENT 'Totals by day, possibly several versions of each row: read the view usage_by_day';

ALTER TABLE {database}.pipeline_progress {on_cluster}
    COMMENT COLUMN topic 'Kafka topic',
    COMMENT COLUMN kafka_partition 'Partition',
    COMMENT COLUMN complete_through 'All records that Kafka had before this time are stored and included in the totals (UTC)',
    COMMENT COLUMN kafka_offset 'Next offset to read',
    MODIFY COMMENT 'Time up to which each partition of the usage topic is in all tables; read it with FINAL';

ALTER TABLE {database}.stored_tenants {on_cluster}
    COMMENT COLUMN tenant_id 'Tenant',
    COMMENT COLUMN plan 'Plan in the record; empty: the plan in the token applies, else the default plan',
    COMMENT COLUMN display_name 'Display name',
    COMMENT COLUMN time_zone 'IANA time zone of the tenant''s days, weeks and months',
    COMMENT COLUMN overrides 'Limits that replace those of the plan, by name',
    COMMENT COLUMN boosts 'Temporary raises as JSON: limit, multiply or set_to, starts_at, ends_at, reason, actor',
    COMMENT COLUMN blocked_until 'End of the block (UTC); empty: until an operator ends it',
    COMMENT COLUMN blocked 'True if an operator blocked the tenant',
    COMMENT COLUMN api_keys 'Number of API keys',
    COMMENT COLUMN updated_at 'Time of the last write of the record (UTC)',
    COMMENT COLUMN updated_by 'Author of the last write',
    COMMENT COLUMN removed 'True if the record was deleted',
    COMMENT COLUMN kafka_offset 'Kafka offset of the record. Of several rows of a tenant the one with the highest value is valid',
    MODIFY COMMENT 'Records of tenants, possibly several versions of each row: read the view tenants';

ALTER TABLE {database}.stored_alerts {on_cluster}
    COMMENT COLUMN alert_id 'Id of the alert, the same for every target',
    COMMENT COLUMN time 'Time of the alert (UTC)',
    COMMENT COLUMN tenant_id 'Tenant',
    COMMENT COLUMN kind 'threshold, exceeded, recovered, forecast, rejections or test',
    COMMENT COLUMN limit_name 'Name of the limit',
    COMMENT COLUMN threshold 'Share of the limit that was crossed, e.g. 0.8',
    COMMENT COLUMN period 'Start of the period of the quota (UTC)',
    COMMENT COLUMN used 'Units used at the time of the alert',
    COMMENT COLUMN `limit` 'Limit in units at the time of the alert',
    COMMENT COLUMN exhausted_at 'Forecast at the recent rate: time at which the quota is used up (UTC); empty: not in this period',
    COMMENT COLUMN channel 'webhook, slack or email; log: the entry of the alert in the service log',
    COMMENT COLUMN target 'Target, without secrets',
    COMMENT COLUMN status 'pending, delivered, dead, dropped, or superseded by a higher threshold',
    COMMENT COLUMN attempts 'Number of attempts',
    COMMENT COLUMN error 'Error of the last attempt; empty after a success',
    MODIFY COMMENT 'Deliveries of notifications, one row for each attempt: read the view alerts';

ALTER TABLE {database}.schema_migrations {on_cluster}
    COMMENT COLUMN number 'Number of the migration',
    COMMENT COLUMN name 'File name of the migration',
    COMMENT COLUMN checksum 'SHA-256 of the statements, without comments and white space',
    COMMENT COLUMN applied_at 'Time at which it was completed',
    MODIFY COMMENT 'Completed migrations';

-- What every table, view and column holds, where people look for it: clients, BI tools and `DESCRIBE` show comments.
-- A later migration that makes a view anew writes its comments again; a test finds what has none.
ALTER TABLE {database}.stored_events {on_cluster}
    COMMENT COLUMN time 'When it happened: for a request when it was decided (UTC, milliseconds)',
    COMMENT COLUMN tenant_id 'Tenant. anonymous: a caller without one; tollgate-heartbeat: Tollgate watching itself',
    COMMENT COLUMN id_skew_ms 'Millisecond in the UUIDv7 of a request minus the event''s own',
    COMMENT COLUMN id_a '12 bits of the id',
    COMMENT COLUMN id_b '62 bits of the id',
    COMMENT COLUMN external_id 'Id as it was sent where it is not the UUIDv7 of a request, else empty',
    COMMENT COLUMN revision '0 as first sent; Kafka offset of its last correction plus one. Of two rows of an event the higher one counts',
    COMMENT COLUMN voided 'True when a correction took the event back',
    COMMENT COLUMN type 'CloudEvents type. tollgate.request.v1 is a request, every other an event of an API server',
    COMMENT COLUMN source 'CloudEvents source; empty where it is tollgate/<node>',
    COMMENT COLUMN user_id 'User within the tenant; empty where there is none',
    COMMENT COLUMN plan 'Plan the request was decided under; for an event of an API server what it says, often empty',
    COMMENT COLUMN method 'HTTP method; empty for events of API servers',
    COMMENT COLUMN route 'Route of the policy, e.g. POST /agent/chat; * where none matched',
    COMMENT COLUMN path 'Path of the request without its query',
    COMMENT COLUMN status 'HTTP status of the answer; 0 for events of API servers',
    COMMENT COLUMN decision 'allowed, limited (refused), bypassed (service token), or shadow_limited (passed, would have been refused)',
    COMMENT COLUMN limited_by 'Names of the limits that had no room, or blocked, unauthenticated and the like',
    COMMENT COLUMN units 'Units the call takes; of refused calls what they would have taken',
    COMMENT COLUMN cost 'Not used since migration 005; see cost_exact',
    COMMENT COLUMN cost_exact 'Money: units × price of the route, exact to 12 decimals; of refused calls what they would have cost',
    COMMENT COLUMN latency_ms 'Milliseconds from the request to its answer, rounded to 0.2 %',
    COMMENT COLUMN check_us 'Microseconds the decision waited for Redis',
    COMMENT COLUMN node 'Gateway that decided',
    COMMENT COLUMN sequence 'Number of the event in its gateway''s spool',
    COMMENT COLUMN degraded 'True when the gateway decided without Redis',
    COMMENT COLUMN client_ip 'Address of the caller',
    COMMENT COLUMN service 'Internal service whose token let the call bypass the limits; empty for all others',
    COMMENT COLUMN entrypoint 'How it came in: proxy, plugin, check, authz, rls, events',
    COMMENT COLUMN properties 'Fields of the data of an API server''s event that have no column of their own, as text',
    COMMENT COLUMN ingested_at 'When the aggregator stored it (UTC, milliseconds)',
    COMMENT COLUMN kafka_partition 'Partition of the usage topic',
    COMMENT COLUMN kafka_offset 'Offset in its partition',
    COMMENT COLUMN spool 'Opening of the gateway''s spool that numbered the event; numbers are contiguous within it',
    MODIFY COMMENT 'Every usage event, maybe in several versions: read the view usage_events';

ALTER TABLE {database}.stored_ids {on_cluster}
    COMMENT COLUMN id 'Hash of tenant, source and id',
    COMMENT COLUMN time 'Time of the event at its first place',
    COMMENT COLUMN kafka_partition 'Partition of its first place',
    COMMENT COLUMN kafka_offset 'Offset of its first place',
    MODIFY COMMENT 'Where each id of an API server was first seen: a repeat counts nothing';

ALTER TABLE {database}.stored_minutes {on_cluster}
    COMMENT COLUMN minute 'Start of the minute (UTC)',
    COMMENT COLUMN plan 'Plan',
    COMMENT COLUMN route 'Route of the policy; * where none matched',
    COMMENT COLUMN type 'CloudEvents type; tollgate.request.v1 is a request',
    COMMENT COLUMN decision 'allowed, limited, bypassed or shadow_limited',
    COMMENT COLUMN tenant_id 'Tenant',
    COMMENT COLUMN requests 'Events of every type; requests alone are those of type tollgate.request.v1',
    COMMENT COLUMN errors 'Answered with a status of 500 or above',
    COMMENT COLUMN units 'Units; of refused calls what they would have taken',
    COMMENT COLUMN cost 'Not used since migration 005; see cost_exact',
    COMMENT COLUMN cost_exact 'Money, exact to 12 decimals; of refused calls what they would have cost',
    COMMENT COLUMN latency 'State of quantilesTDigest(0.5, 0.95, 0.99) over the latency in milliseconds; merge it with quantilesTDigestMerge',
    COMMENT COLUMN version 'Events behind the cell plus their revisions: of two rows of a key the higher one counts',
    MODIFY COMMENT 'Totals by minute, maybe in several versions: read the view usage_by_minute';

ALTER TABLE {database}.stored_hours {on_cluster}
    COMMENT COLUMN hour 'Start of the hour (UTC)',
    COMMENT COLUMN plan 'Plan',
    COMMENT COLUMN route 'Route of the policy; * where none matched',
    COMMENT COLUMN type 'CloudEvents type; tollgate.request.v1 is a request',
    COMMENT COLUMN decision 'allowed, limited, bypassed or shadow_limited',
    COMMENT COLUMN tenant_id 'Tenant',
    COMMENT COLUMN requests 'Events of every type; requests alone are those of type tollgate.request.v1',
    COMMENT COLUMN errors 'Answered with a status of 500 or above',
    COMMENT COLUMN units 'Units; of refused calls what they would have taken',
    COMMENT COLUMN cost 'Not used since migration 005; see cost_exact',
    COMMENT COLUMN cost_exact 'Money, exact to 12 decimals; of refused calls what they would have cost',
    COMMENT COLUMN latency 'State of quantilesTDigest(0.5, 0.95, 0.99) over the latency in milliseconds; merge it with quantilesTDigestMerge',
    COMMENT COLUMN version 'Events behind the cell plus their revisions: of two rows of a key the higher one counts',
    MODIFY COMMENT 'Totals by hour, maybe in several versions: read the view usage_by_hour';

ALTER TABLE {database}.stored_days {on_cluster}
    COMMENT COLUMN day 'Day (UTC)',
    COMMENT COLUMN plan 'Plan',
    COMMENT COLUMN route 'Route of the policy; * where none matched',
    COMMENT COLUMN type 'CloudEvents type; tollgate.request.v1 is a request',
    COMMENT COLUMN decision 'allowed, limited, bypassed or shadow_limited',
    COMMENT COLUMN tenant_id 'Tenant',
    COMMENT COLUMN requests 'Events of every type; requests alone are those of type tollgate.request.v1',
    COMMENT COLUMN errors 'Answered with a status of 500 or above',
    COMMENT COLUMN units 'Units; of refused calls what they would have taken',
    COMMENT COLUMN cost 'Not used since migration 005; see cost_exact',
    COMMENT COLUMN cost_exact 'Money, exact to 12 decimals; of refused calls what they would have cost',
    COMMENT COLUMN latency 'State of quantilesTDigest(0.5, 0.95, 0.99) over the latency in milliseconds; merge it with quantilesTDigestMerge',
    COMMENT COLUMN version 'Events behind the cell plus their revisions: of two rows of a key the higher one counts',
    MODIFY COMMENT 'Totals by day, maybe in several versions: read the view usage_by_day';

ALTER TABLE {database}.pipeline_progress {on_cluster}
    COMMENT COLUMN topic 'Kafka topic',
    COMMENT COLUMN kafka_partition 'Partition',
    COMMENT COLUMN complete_through 'Every record that Kafka held before this is stored and counted (UTC)',
    COMMENT COLUMN kafka_offset 'Next offset to be read',
    MODIFY COMMENT 'Up to when each partition of the usage topic is in all tables; read it with FINAL';

ALTER TABLE {database}.stored_tenants {on_cluster}
    COMMENT COLUMN tenant_id 'Tenant',
    COMMENT COLUMN plan 'Plan of the record; empty: what its tokens claim, else the default plan',
    COMMENT COLUMN display_name 'Name that people see',
    COMMENT COLUMN time_zone 'IANA zone of its days, weeks and months',
    COMMENT COLUMN overrides 'Limits of its own by name',
    COMMENT COLUMN boosts 'Temporary raises, as JSON: limit, multiply or set_to, starts_at, ends_at, reason, actor',
    COMMENT COLUMN blocked_until 'End of the block; empty: until lifted',
    COMMENT COLUMN blocked 'True when an operator has blocked it',
    COMMENT COLUMN api_keys 'Number of API keys',
    COMMENT COLUMN updated_at 'When the record was last written (UTC)',
    COMMENT COLUMN updated_by 'Who wrote it last',
    COMMENT COLUMN removed 'True when the record was deleted',
    COMMENT COLUMN kafka_offset 'Offset of the record: of two rows of a tenant the higher one counts',
    MODIFY COMMENT 'Records of tenants, maybe in several versions: read the view tenants';

ALTER TABLE {database}.stored_alerts {on_cluster}
    COMMENT COLUMN alert_id 'Id of the alert, the same for every target',
    COMMENT COLUMN time 'When it was raised (UTC)',
    COMMENT COLUMN tenant_id 'Tenant',
    COMMENT COLUMN kind 'threshold, exceeded, recovered, forecast, rejections or test',
    COMMENT COLUMN limit_name 'Limit it speaks of',
    COMMENT COLUMN threshold 'Share of the limit that was crossed, e.g. 0.8',
    COMMENT COLUMN period 'Start of the quota''s period (UTC)',
    COMMENT COLUMN used 'Units used when it was raised',
    COMMENT COLUMN `limit` 'Limit when it was raised',
    COMMENT COLUMN exhausted_at 'When the quota is used up if usage goes on as it did; empty: not in this period',
    COMMENT COLUMN channel 'webhook, slack, email, or log for the alert itself',
    COMMENT COLUMN target 'Where it was sent',
    COMMENT COLUMN status 'pending, delivered, dead, dropped, or superseded by a higher threshold',
    COMMENT COLUMN attempts 'Attempts made',
    COMMENT COLUMN error 'Why the last attempt failed',
    MODIFY COMMENT 'Notifications, one row an attempt: read the view alerts';

ALTER TABLE {database}.schema_migrations {on_cluster}
    COMMENT COLUMN number 'Number of the file',
    COMMENT COLUMN name 'Name of the file',
    COMMENT COLUMN checksum 'SHA-256 of the file',
    COMMENT COLUMN applied_at 'When it had run',
    MODIFY COMMENT 'Migrations that have run';

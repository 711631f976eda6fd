-- Run id of the gateway's spool: each start of a gateway begins a run. The sequence numbers of a run's events (requests and
-- events of API servers) are contiguous, so the loss audit finds missing events by gaps. The column changes only when a gateway
-- starts, so it compresses to almost nothing.
ALTER TABLE {database}.stored_events {on_cluster} ADD COLUMN IF NOT EXISTS spool LowCardinality(String) CODEC(ZSTD(1));

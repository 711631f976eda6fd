-- Run id of the gateway's spool: each start of a gateway begins a run. Sequence numbers are contiguous within a run, for
-- requests and for events of API servers; the loss audit compares them. It changes only when a gateway starts, so it
-- compresses to almost nothing.
ALTER TABLE {database}.stored_events {on_cluster} ADD COLUMN IF NOT EXISTS spool LowCardinality(String) CODEC(ZSTD(1));

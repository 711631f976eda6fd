-- Which opening of which gateway's spool numbered the event. Numbers are contiguous within it, for requests and for
-- events of API servers alike; the loss audit reads it. It changes only when a gateway starts, so it costs nearly no bytes.
ALTER TABLE {database}.stored_events {on_cluster} ADD COLUMN IF NOT EXISTS spool LowCardinality(String) CODEC(ZSTD(1));

-- The highest generation of the counters of each Redis server: a server whose marker has a lower one is an older copy.
CREATE TABLE IF NOT EXISTS {database}.counter_generations {on_cluster}
(
    marker_key  String COMMENT 'Key of the marker in Redis: one for each server that holds counters',
    generation  UInt64 COMMENT 'Grows by one with each rebuild that begins; the highest stands',
    stored_at   DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When the rebuild began'
)
ENGINE = {replicated}ReplacingMergeTree(generation)
ORDER BY marker_key
COMMENT 'Generation of the counters of each Redis server, by which the reconciler recognizes an older copy';

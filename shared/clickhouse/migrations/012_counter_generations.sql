-- The generation (number of rebuilds) of the counters of each Redis server. If the marker of a server has a lower generation than
-- stored here, the server's data is an older copy.
CREATE TABLE IF NOT EXISTS {database}.counter_generations {on_cluster}
(
    marker_key  String COMMENT 'Key of the marker in Redis; each server with counters has one',
    generation  UInt64 COMMENT 'Rises by 1 when a rebuild begins; the highest is the current one',
    stored_at   DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'Time at which the rebuild began (UTC, milliseconds)'
)
ENGINE = {replicated}ReplacingMergeTree(generation)
ORDER BY marker_key
COMMENT 'Generation of the counters of each Redis server; with it the reconciler recognizes counters from an older copy';

-- The aggregator searches for an earlier copy of a correction that a gateway sends again. Both copies have the same time, and within
-- a partition times rise with the offsets, except those of late corrections. This index leaves a few granules to read.
ALTER TABLE {database}.stored_corrections {on_cluster}
    ADD INDEX IF NOT EXISTS times time TYPE minmax GRANULARITY 1;

-- Existing rows get the index in the background.
ALTER TABLE {database}.stored_corrections {on_cluster} MATERIALIZE INDEX IF EXISTS times;

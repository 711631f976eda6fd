-- Offsets of two partitions cannot be compared, so records are ordered by their own version. The column keeps its name,
-- because the version column of a table cannot be changed; every new value is above the offsets stored before.
ALTER TABLE {database}.stored_tenants {on_cluster}
    COMMENT COLUMN kafka_offset 'Order of the record among those of its tenant: version * 2^20 + the low 20 bits of its Kafka offset. The highest is the newest';

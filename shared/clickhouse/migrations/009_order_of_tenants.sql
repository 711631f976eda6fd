-- Offsets of two partitions say nothing about each other, so records are ordered by their own version. The column keeps
-- its name, because the version column of a table cannot be changed; every order is above the offsets that stand there.
ALTER TABLE {database}.stored_tenants {on_cluster}
    COMMENT COLUMN kafka_offset 'Order of the record among those of its tenant: version * 2^20 + the low 20 bits of its Kafka offset. The highest stands';

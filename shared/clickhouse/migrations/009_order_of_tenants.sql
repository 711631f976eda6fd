-- Orders the records of a tenant by the records' own version first, because offsets of two partitions cannot be compared. The new
-- value stays in the column `kafka_offset`, because the version column of a table cannot be changed. Every new value is higher
-- than the offsets that were stored before.
ALTER TABLE {database}.stored_tenants {on_cluster}
    COMMENT COLUMN kafka_offset 'Order of the record among those of its tenant: version * 2^20 + the low 20 bits of its Kafka offset. The highest is the newest';

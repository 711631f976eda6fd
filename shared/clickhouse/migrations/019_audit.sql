-- The audit trail, without end: the table has no TTL. An entry that is written twice has the same time and id, so it is one row.
-- An entry that was read from the history of a record has fewer columns than the entry of the change itself, which replaces it.
CREATE TABLE IF NOT EXISTS {database}.stored_audit {on_cluster}
(
    time         DateTime64(3, 'UTC') COMMENT 'Time of the action (UTC)',
    id           String COMMENT 'Id of the entry',
    tenant_id    String COMMENT 'Tenant; empty: the action concerns no single tenant',
    actor        String COMMENT 'Operator, or the tenant itself',
    source       LowCardinality(String) COMMENT 'console, portal, admin-api or cli; empty: unknown',
    action       LowCardinality(String) COMMENT 'What was done, e.g. block, boost, delete, sign-in',
    detail       String COMMENT 'The action in words',
    reason       String COMMENT 'Why, as the actor stated it',
    before       String COMMENT 'Changed fields before the action, as JSON; empty: no record was changed',
    after        String COMMENT 'Changed fields after the action, as JSON',
    facts        Map(LowCardinality(String), String) COMMENT 'Further facts, e.g. the session of a sign-in',
    completeness UInt8 COMMENT '1: the entry of the action; 0: from the history of a record, without source, reason and fields'
)
ENGINE = {replicated}ReplacingMergeTree(completeness)
ORDER BY (time, id)
COMMENT 'Audit trail as stored, with copies of entries';

CREATE OR REPLACE VIEW {database}.audit {on_cluster} AS
SELECT time, id, tenant_id, actor, source, action, detail, reason, before, after, facts
FROM {database}.stored_audit FINAL;

ALTER TABLE {database}.audit {on_cluster}
    COMMENT COLUMN time 'Time of the action (UTC)',
    COMMENT COLUMN id 'Id of the entry',
    COMMENT COLUMN tenant_id 'Tenant; empty: the action concerns no single tenant',
    COMMENT COLUMN actor 'Operator, or the tenant itself',
    COMMENT COLUMN source 'console, portal, admin-api or cli; empty: unknown',
    COMMENT COLUMN action 'What was done, e.g. block, boost, delete, sign-in',
    COMMENT COLUMN detail 'The action in words',
    COMMENT COLUMN reason 'Why, as the actor stated it',
    COMMENT COLUMN before 'Changed fields before the action, as JSON; empty: no record was changed',
    COMMENT COLUMN after 'Changed fields after the action, as JSON',
    COMMENT COLUMN facts 'Further facts, e.g. the session of a sign-in',
    MODIFY COMMENT 'Audit trail: every change, sign-in, link, session end and deletion';

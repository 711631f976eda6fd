-- The plans of the running policy with their prices, so that queries can compare them with costs. Each write of the reconciler
-- contains all plans with the same time, which is that of the ClickHouse server. The latest write is the current one; a plan that
-- it does not contain has been removed from the policy.
CREATE TABLE IF NOT EXISTS {database}.stored_plans {on_cluster}
(
    plan            String                   COMMENT 'Name of the plan',
    price           Nullable(Decimal(38, 12)) COMMENT 'What a tenant of the plan pays for a calendar month; NULL: the policy states no price',
    currency        LowCardinality(String)   COMMENT 'ISO 4217 code of the currency of all prices and costs; empty: the policy names none',
    policy_revision LowCardinality(String)   COMMENT 'First 12 hex digits of the SHA-256 of the policy file',
    written_at      DateTime64(3, 'UTC')     COMMENT 'Time of the write (UTC, milliseconds)'
)
ENGINE = {replicated}ReplacingMergeTree(written_at)
ORDER BY plan
COMMENT 'Plans with their prices; several rows of a plan until they are merged';

CREATE OR REPLACE VIEW {database}.plans {on_cluster} AS
SELECT plan, price, currency, policy_revision, written_at
FROM {database}.stored_plans FINAL
WHERE written_at = (SELECT max(written_at) FROM {database}.stored_plans);

ALTER TABLE {database}.plans {on_cluster}
    COMMENT COLUMN plan 'Name of the plan',
    COMMENT COLUMN price 'What a tenant of the plan pays for a calendar month, exact to 12 decimals; NULL: the policy states no price',
    COMMENT COLUMN currency 'ISO 4217 code of the currency of all prices and costs; empty: the policy names none',
    COMMENT COLUMN policy_revision 'First 12 hex digits of the SHA-256 of the policy file',
    COMMENT COLUMN written_at 'Time at which the policy was recorded (UTC)',
    MODIFY COMMENT 'The plans of the running policy with their prices';

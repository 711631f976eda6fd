-- Texts of the policy file: each revision that took effect, and each edit that was refused. The admin API writes a row when the file
-- changes. A change through Tollgate is stored with its operator and reason before the file is written.
CREATE TABLE IF NOT EXISTS {database}.policy_revisions {on_cluster}
(
    at         DateTime64(3, 'UTC')   COMMENT 'Time at which the revision took effect or was refused (UTC, milliseconds)' CODEC(ZSTD(1)),
    revision   String                 COMMENT 'First 12 hex digits of the SHA-256 of the text' CODEC(ZSTD(1)),
    outcome    LowCardinality(String) COMMENT 'accepted: it took effect; refused: the file had violations, and the policy before stayed in force' CODEC(ZSTD(1)),
    actor      String                 COMMENT 'Operator who put it live; empty for an edit of the file' CODEC(ZSTD(1)),
    reason     String                 COMMENT 'Reason of the operator' CODEC(ZSTD(1)),
    file       String                 COMMENT 'Path of the policy file' CODEC(ZSTD(1)),
    text       String                 COMMENT 'The text of the file' CODEC(ZSTD(3)),
    violations String                 COMMENT 'Violations of a refused text, one on each line, with line, column and field' CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (at, revision, outcome, actor)
COMMENT 'History of the policy file';

-- Read-only access for analysts, on a real ClickHouse server (the local engine has no users). Run it as an administrator, after
-- the migrations: `clickhouse-client --multiquery < analysts.sql`. The file may be run several times.
--
-- The grant is on the whole database, because a view reads its tables with the rights of the user who queries it. So row policies
-- (tenants.sql) apply through views too. No table contains a secret: keys and webhook secrets are not stored in ClickHouse.

CREATE ROLE IF NOT EXISTS tollgate_analyst;

GRANT SELECT ON tollgate.* TO tollgate_analyst;

-- Limits the time, memory and threads of an analyst's query, so that the aggregator has enough of them. `readonly = 2` forbids
-- writes, but permits a client to set formats.
CREATE SETTINGS PROFILE IF NOT EXISTS tollgate_analyst SETTINGS
    readonly = 2,
    max_execution_time = 60 MIN 1 MAX 300,
    max_memory_usage = 4000000000 MAX 8000000000,
    max_threads = 4 MAX 8,
    max_rows_to_read = 2000000000
TO tollgate_analyst;

CREATE QUOTA IF NOT EXISTS tollgate_analyst FOR INTERVAL 1 hour MAX queries = 2000, execution_time = 1800 TO tollgate_analyst;

-- A user:  CREATE USER ada IDENTIFIED WITH sha256_password BY '…' DEFAULT ROLE tollgate_analyst;
--          GRANT tollgate_analyst TO ada;

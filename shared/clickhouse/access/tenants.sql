-- Gives a customer direct access to its own rows, on a real ClickHouse server. Run it after the migrations.
--
-- The row policies are on the stored tables. A view reads the tables with the rights of the user who queries it, so the policies
-- apply through every view. The conditions use columns of the sort key only: the copies of a row agree in these columns, so
-- a policy never shows an old copy while it hides the newer one. The name of a user is `tenant_` and the tenant's id:
-- user `tenant_acme` reads the rows of tenant `acme`. Each table has a second policy, which lets all other users read all rows.
-- Without the second policy, some versions of ClickHouse would hide all rows from other users.

CREATE ROLE IF NOT EXISTS tollgate_tenant;

GRANT SELECT ON tollgate.usage_events    TO tollgate_tenant;
GRANT SELECT ON tollgate.usage_by_minute TO tollgate_tenant;
GRANT SELECT ON tollgate.usage_by_hour   TO tollgate_tenant;
GRANT SELECT ON tollgate.usage_by_day    TO tollgate_tenant;
GRANT SELECT ON tollgate.usage_by_minute_states TO tollgate_tenant;
GRANT SELECT ON tollgate.usage_by_hour_states   TO tollgate_tenant;
GRANT SELECT ON tollgate.usage_by_day_states    TO tollgate_tenant;
GRANT SELECT ON tollgate.alerts          TO tollgate_tenant;
GRANT SELECT ON tollgate.stored_events   TO tollgate_tenant;
GRANT SELECT ON tollgate.stored_minutes  TO tollgate_tenant;
GRANT SELECT ON tollgate.stored_hours    TO tollgate_tenant;
GRANT SELECT ON tollgate.stored_days     TO tollgate_tenant;
GRANT SELECT ON tollgate.stored_alerts   TO tollgate_tenant;

CREATE ROW POLICY IF NOT EXISTS own ON tollgate.stored_events  USING tenant_id = substring(currentUser(), 8) TO tollgate_tenant;
CREATE ROW POLICY IF NOT EXISTS own ON tollgate.stored_minutes USING tenant_id = substring(currentUser(), 8) TO tollgate_tenant;
CREATE ROW POLICY IF NOT EXISTS own ON tollgate.stored_hours   USING tenant_id = substring(currentUser(), 8) TO tollgate_tenant;
CREATE ROW POLICY IF NOT EXISTS own ON tollgate.stored_days    USING tenant_id = substring(currentUser(), 8) TO tollgate_tenant;
CREATE ROW POLICY IF NOT EXISTS own ON tollgate.stored_alerts  USING tenant_id = substring(currentUser(), 8) TO tollgate_tenant;

CREATE ROW POLICY IF NOT EXISTS unrestricted ON tollgate.stored_events  USING 1 TO ALL EXCEPT tollgate_tenant;
CREATE ROW POLICY IF NOT EXISTS unrestricted ON tollgate.stored_minutes USING 1 TO ALL EXCEPT tollgate_tenant;
CREATE ROW POLICY IF NOT EXISTS unrestricted ON tollgate.stored_hours   USING 1 TO ALL EXCEPT tollgate_tenant;
CREATE ROW POLICY IF NOT EXISTS unrestricted ON tollgate.stored_days    USING 1 TO ALL EXCEPT tollgate_tenant;
CREATE ROW POLICY IF NOT EXISTS unrestricted ON tollgate.stored_alerts  USING 1 TO ALL EXCEPT tollgate_tenant;

CREATE SETTINGS PROFILE IF NOT EXISTS tollgate_tenant SETTINGS
    readonly = 1, max_execution_time = 10, max_memory_usage = 1000000000, max_threads = 2
TO tollgate_tenant;

CREATE QUOTA IF NOT EXISTS tollgate_tenant KEYED BY user_name FOR INTERVAL 1 hour MAX queries = 500 TO tollgate_tenant;

-- A customer: CREATE USER tenant_acme IDENTIFIED WITH sha256_password BY '…' DEFAULT ROLE tollgate_tenant;
--             GRANT tollgate_tenant TO tenant_acme;

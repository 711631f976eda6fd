-- Access for Grafana, on a real ClickHouse server. Run it after analysts.sql: this role has the rights of analysts, and may also
-- read the list of table parts.

CREATE ROLE IF NOT EXISTS tollgate_dashboards;

GRANT tollgate_analyst TO tollgate_dashboards;
GRANT SELECT(database, table, partition, rows, bytes_on_disk, active) ON system.parts TO tollgate_dashboards;

-- CREATE USER grafana IDENTIFIED WITH sha256_password BY '…' DEFAULT ROLE tollgate_dashboards;
-- GRANT tollgate_dashboards TO grafana;

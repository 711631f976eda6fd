-- Access for Grafana, on a real ClickHouse server. Run it after analysts.sql: this role has the rights of analysts, and may also
-- read the parts of tables, running merges, disks, and counters of the server.

CREATE ROLE IF NOT EXISTS tollgate_dashboards;

GRANT tollgate_analyst TO tollgate_dashboards;
GRANT SELECT(database, table, partition, rows, bytes_on_disk, active) ON system.parts TO tollgate_dashboards;
GRANT SELECT(database, table, elapsed, progress, num_parts, total_size_bytes_compressed, memory_usage) ON system.merges TO tollgate_dashboards;
GRANT SELECT(name, path, free_space, total_space) ON system.disks TO tollgate_dashboards;
GRANT SELECT(event, value) ON system.events TO tollgate_dashboards;

-- CREATE USER grafana IDENTIFIED WITH sha256_password BY '…' DEFAULT ROLE tollgate_dashboards;
-- GRANT tollgate_dashboards TO grafana;

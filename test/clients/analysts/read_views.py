"""Reads every view with the clients of analysts, and prints the rows as JSON: python read_views.py HOST PORT DATABASE"""

import json
import sys
from decimal import Decimal

import clickhouse_connect
import sqlalchemy
from sqlalchemy import MetaData, Table, func, select, text

host, port, database = sys.argv[1], int(sys.argv[2]), sys.argv[3]
VIEWS = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View' AND name NOT LIKE '%\\_states' ORDER BY name"


def plain(value):
    if isinstance(value, Decimal):
        return {"decimal": format(value.normalize(), "f")}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)


def with_connect():
    client = clickhouse_connect.get_client(host=host, port=port, database=database)
    views = {}
    for (view,) in client.query(VIEWS).result_rows:
        result = client.query(f"SELECT * FROM {view}")
        views[view] = [dict(zip(result.column_names, plain(row))) for row in result.result_rows]
    merged = client.query(
        "SELECT quantilesTDigestMerge(0.5, 0.95, 0.99)(latency_state) FROM usage_by_minute_states"
    ).result_rows
    return {"views": views, "merged": plain(merged)}


def with_sqlalchemy():
    engine = sqlalchemy.create_engine(f"clickhousedb://{host}:{port}/{database}")
    views = {}
    with engine.connect() as connection:
        for (name,) in connection.execute(text(VIEWS)).fetchall():
            view = Table(name, MetaData(), autoload_with=connection)
            rows = connection.execute(select(view)).mappings().all()
            views[name] = {
                "rows": [plain(dict(row)) for row in rows],
                "comment": view.comment,
                "comments": {column.name: column.comment for column in view.columns},
            }
        days = Table("usage_by_day", MetaData(), autoload_with=connection)
        total = connection.execute(select(func.sum(days.c.cost))).scalar_one()
    return {"views": views, "total": plain(total)}


json.dump({"connect": with_connect(), "sqlalchemy": with_sqlalchemy()}, sys.stdout)

"""Usage of the last 30 days from ClickHouse: by tenant, by route, and the heaviest growth. Works cell by cell in a notebook."""

import os

import clickhouse_connect

# %% Connect. An analyst uses a role that may only read (docs/analysts.md).
client = clickhouse_connect.get_client(
    dsn=os.environ.get("CLICKHOUSE_URL", "http://127.0.0.1:8123"),
    database=os.environ.get("CLICKHOUSE_DATABASE", "tollgate"),
)


def show(title, query):
    result = client.query(query)
    print(f"\n{title}")
    print("\t".join(result.column_names))
    for row in result.result_rows:
        print("\t".join(str(value) for value in row))


# %% Requests, refusals and units by tenant
show(
    "By tenant",
    """
    SELECT u.tenant_id AS tenant, sum(u.requests) AS requests, sum(u.limited) AS refused, sum(u.units) AS units
    FROM usage_by_day AS u WHERE u.day >= today() - 30
    GROUP BY tenant ORDER BY units DESC LIMIT 20
    """,
)

# %% Which routes are refused most
show(
    "By route",
    """
    SELECT u.route AS route, sum(u.requests) AS requests, round(sum(u.limited) / sum(u.requests), 3) AS refused_share
    FROM usage_by_day AS u WHERE u.day >= today() - 30
    GROUP BY route ORDER BY refused_share DESC, requests DESC LIMIT 20
    """,
)

# %% Usage that applications published themselves
show(
    "By type",
    """
    SELECT u.type AS type, sum(u.requests) AS events, sum(u.units) AS units
    FROM usage_by_day AS u WHERE u.day >= today() - 30 AND u.type NOT LIKE 'tollgate.%'
    GROUP BY type ORDER BY units DESC LIMIT 20
    """,
)

import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';

export const dayMs = 86_400_000;
export const tenants = 1_000;
const stepRows = 1_000_000;

export async function openDatabase(url: string, database: string): Promise<ClickHouse> {
  const clickhouse = createClickHouse({ url, database, requestTimeoutMs: 600_000 });
  await migrate(clickhouse);
  return clickhouse;
}

export const endMs = Math.floor(Date.now() / dayMs) * dayMs;

/** Events as gateways write them: skewed tenants, 20 users each, six routes, log-normal latencies, three nodes. */
export async function fill(
  clickhouse: ClickHouse,
  events: number,
  stepMs: number,
  say: (line: string) => void,
): Promise<void> {
  for (let from = 0; from < events; from += stepRows) {
    const count = Math.min(stepRows, events - from);
    await clickhouse.command(fillSql, {
      from,
      count,
      start: endMs - Math.ceil(events * stepMs),
      step: stepMs,
      tenants,
    });
    say(`  ${(from + count).toLocaleString('en')} of ${events.toLocaleString('en')} events`);
  }
}

const fillSql = `
INSERT INTO stored_events (time, tenant_id, id_skew_ms, id_a, id_b, type, user_id, plan, method, route, path, status, decision,
    limited_by, units, cost, latency_ms, check_us, node, sequence, client_ip, entrypoint, ingested_at, kafka_partition, kafka_offset)
WITH
    number + {from:UInt64} AS n,
    {start:Int64} + toInt64(n * {step:Float64}) AS ms,
    least({tenants:UInt32}, toUInt32(floor(pow({tenants:UInt32}, (rand(1) % 100000) / 100000)))) AS tenant,
    rand(2) % 20 AS usr,
    rand(3) % 100 AS dice,
    multiIf(dice < 40, 1, dice < 60, 2, dice < 75, 3, dice < 85, 4, dice < 97, 5, 6) AS r,
    rand(4) % 100 < 8 AS refused,
    if(refused, 0.3 + (rand(5) % 300) / 1000, exp(randNormal(3, 0.8))) AS latency
SELECT
    fromUnixTimestamp64Milli(ms, 'UTC'), 'tenant-' || toString(tenant), rand(6) % 4 = 0, rand(7) % 128,
    bitAnd(rand64(8), 0x3fffffffffffffff), 'tollgate.request.v1', if(usr = 0, '', 'user-' || toString(tenant * 100 + usr)),
    ['free', 'pro', 'enterprise'][1 + tenant % 3], ['GET', 'POST', 'POST', 'GET', 'POST', 'GET'][r],
    ['GET /health', 'POST /agent/chat', 'POST /agent/calendar', 'GET /audit/logs', 'POST /agents/*/runs', '*'][r],
    ['/health', '/agent/chat', '/agent/calendar', '/audit/logs',
     '/agents/' || toString(cityHash64(tenant, rand(9) % 10) % 100000) || '/runs', '/items/' || toString(rand(10) % 1000)][r],
    multiIf(refused, 429, rand(11) % 200 = 0, 500, 200), if(refused, 'limited', 'allowed'),
    if(refused, [['minute'], ['chat'], ['day']][1 + rand(12) % 3], []), 1, [0, 0.000075, 0.0001, 0, 0.001, 0][r],
    reinterpretAsFloat32(bitAnd(reinterpretAsUInt32(toFloat32(latency)), 0xffff8000)),
    toUInt32(80 + exp(randNormal(4.5, 0.5))), 'gateway-' || toString(n % 3), intDiv(n, 3),
    '10.' || toString(tenant % 256) || '.' || toString(usr) || '.' || toString(rand(13) % 2), 'proxy',
    fromUnixTimestamp64Milli(intDiv(ms, 250) * 250 + 310 + intDiv(ms, 250) * 2654435761 % 60, 'UTC'), tenant % 12, intDiv(n, 12)
FROM numbers({count:UInt64})`;

import { createClickHouse } from '../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { deriveTotals } from '../../shared/clickhouse/derive-totals.ts';
import { migrate } from '../../shared/clickhouse/migrate.ts';
import { periodTotals } from '../../shared/clickhouse/queries/period-totals.ts';
import { usageSeries } from '../../shared/clickhouse/queries/usage.ts';
import { startClickHouseServer } from '../../dev/servers/clickhouse.ts';
import { freePort } from '../../dev/servers/free-port.ts';
import { table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';

const dayMs = 86_400_000;
const tenants = 1_000;
const stepRows = 1_000_000;

/** Bytes per event on disk, and the latency of queries over a short and a long history. */
export const bench: Bench = {
  name: 'storage',
  title: 'Events on disk, and queries over a long history',
  async run(options) {
    const server = await startClickHouseServer({
      dir: options.dir,
      port: await freePort(),
      say: options.say,
    });
    try {
      return await measure(server.url, options);
    } finally {
      await server.stop();
    }
  },
};

async function measure(url: string, { quick, say }: BenchOptions): Promise<string> {
  const dense = await openDatabase(url, 'dense');
  const denseRows = quick ? 500_000 : 10_000_000;
  await fill(dense, denseRows, 0.5, say);
  await dense.command('OPTIMIZE TABLE stored_events FINAL');
  const bytes = await bytesOf(dense);

  const rows: string[][] = [];
  const full = process.env['TOLLGATE_BENCH'] === 'full';
  for (const events of quick ? [100_000, 1_000_000] : [1_000_000, full ? 50_000_000 : 5_000_000]) {
    const clickhouse = await openDatabase(url, `long_${events}`);
    // The history always spans thirty days, so more events mean more events per day.
    await fill(clickhouse, events, (30 * dayMs) / events, say);
    await derive(clickhouse, say);
    rows.push([events.toLocaleString('en'), ...(await measureQueries(clickhouse))]);
    await clickhouse.close();
  }
  await dense.close();
  return [
    `${denseRows.toLocaleString('en')} events at 2,000 a second of ${tenants} tenants (a few heavy, most light), merged: ` +
      `**${(bytes.total / denseRows).toFixed(1)} bytes an event** on disk. The largest columns: ` +
      `${bytes.columns.map(({ name, bytes: size }) => `${name} ${(size / denseRows).toFixed(2)}`).join(', ')}.`,
    'Queries about one tenant in thirty days of events, 40 times each, over HTTP:',
    table(
      [
        'events',
        'day total p50',
        'p95',
        '30-day graph p50',
        'p95',
        '24 hours of one tenant, raw events p50',
        'p95',
      ],
      rows,
    ),
  ].join('\n\n');
}

async function openDatabase(url: string, database: string): Promise<ClickHouse> {
  const clickhouse = createClickHouse({ url, database, requestTimeoutMs: 600_000 });
  await migrate(clickhouse);
  return clickhouse;
}

const endMs = Math.floor(Date.now() / dayMs) * dayMs;

/** Events as gateways write them: skewed tenants, 20 users each, six routes, log-normal latencies, three nodes. */
async function fill(
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

async function derive(clickhouse: ClickHouse, say: (line: string) => void): Promise<void> {
  const tenantIds = new Set(Array.from({ length: tenants }, (_, index) => `tenant-${index + 1}`));
  for (let day = 30; day >= 1; day -= 1) {
    const start = endMs - day * dayMs;
    const minutes = new Set(Array.from({ length: 1_440 }, (_, index) => start + index * 60_000));
    await deriveTotals(clickhouse, { tenantIds, minutes, hasRegrouped: false });
  }
  say('  totals derived');
}

async function measureQueries(clickhouse: ClickHouse): Promise<string[]> {
  const tenantOf = (round: number): string => `tenant-${1 + ((round * 37) % 200)}`;
  const lastDay = { startMs: endMs - dayMs, endMs };
  const month = { startMs: endMs - 30 * dayMs, endMs };
  return [
    ...(await timed((round) => periodTotals(clickhouse, [tenantOf(round)], lastDay))),
    ...(await timed((round) => usageSeries(clickhouse, tenantOf(round), 'day', month))),
    ...(await timed((round) =>
      clickhouse.query(
        `SELECT decision, count() FROM usage_events WHERE tenant_id = {tenant:String}
        AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') GROUP BY decision`,
        { tenant: tenantOf(round), from: lastDay.startMs },
      ),
    )),
  ];
}

const rounds = 40;

async function timed(query: (round: number) => Promise<unknown>): Promise<[string, string]> {
  await query(0);
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now();
    await query(round);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): string => `${(times[Math.floor(rounds * share)] ?? NaN).toFixed(0)} ms`;
  return [at(0.5), at(0.95)];
}

async function bytesOf(
  clickhouse: ClickHouse,
): Promise<{ total: number; columns: { name: string; bytes: number }[] }> {
  const [sum] = await clickhouse.query<{ bytes: number }>(
    `SELECT sum(bytes_on_disk) AS bytes FROM system.parts
    WHERE active AND database = currentDatabase() AND table = 'stored_events'`,
  );
  const columns = await clickhouse.query<{ name: string; bytes: number }>(
    `SELECT name, data_compressed_bytes AS bytes FROM system.columns
    WHERE database = currentDatabase() AND table = 'stored_events' ORDER BY bytes DESC LIMIT 8`,
  );
  return { total: sum?.bytes ?? NaN, columns };
}

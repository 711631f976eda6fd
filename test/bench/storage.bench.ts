import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { deriveTotals } from '../../shared/clickhouse/derive-totals.ts';
import { periodTotals } from '../../shared/clickhouse/queries/period-totals.ts';
import { usageSeries } from '../../shared/clickhouse/queries/usage.ts';
import { startClickHouseServer } from '../../dev/servers/clickhouse.ts';
import { freePort } from '../../dev/servers/free-port.ts';
import { table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { dayMs, endMs, fill, openDatabase, tenants } from './storage/history.ts';

/** The latency of queries over a short and a long history. */
export const bench: Bench = {
  name: 'storage',
  title: 'Queries over a long history',
  isPartOfTable: false,
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
  return [
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

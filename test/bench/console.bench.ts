import { loadavg } from 'node:os';
import { messageOf } from '../../shared/runtime/errors.ts';
import { table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { rowsOfTables } from './console/fill.ts';
import type { Extent } from './console/fill.ts';
import { startConsole, tenantId } from './console/installation.ts';
import type { ConsoleInstallation } from './console/installation.ts';
import { measuredPages } from './console/pages.ts';
import type { MeasuredPage, ViewedTenant } from './console/pages.ts';
import { viewPage } from './console/views.ts';
import type { View } from './console/views.ts';

/** How fast portal and operator console show their pages over 90 days of 1,000 tenants. */
export const bench: Bench = {
  name: 'console',
  title: 'Pages of the console',
  isPartOfTable: true,
  async run(options) {
    const extent = options.quick ? quickExtent : fullExtent;
    const installation = await startConsole(options.dir, extent, options.say);
    try {
      return await measure(installation, extent, options);
    } finally {
      await installation.stop();
    }
  },
};

const fullExtent: Extent = { tenants: 1_000, days: 90, eventHours: 12, events: 3_000_000 };
const quickExtent: Extent = { tenants: 50, days: 10, eventHours: 3, events: 50_000 };
/** Views of a page are of this many different tenants; the first of them only warm the process up. */
const warmUpViews = 2;
const viewsOfPage = 20;

type Measured = ReadonlyMap<MeasuredPage, readonly View[]>;

async function measure(
  installation: ConsoleInstallation,
  extent: Extent,
  { quick, say, record }: BenchOptions,
): Promise<string> {
  const views = await viewAll(installation, extent, { rounds: quick ? 2 : viewsOfPage, say });
  const load = loadavg()[0]?.toFixed(1) ?? '?';
  const all = [...views.values()].flat();
  const scriptKilobytes = Math.max(...all.map(({ scriptBytes }) => scriptBytes)) / 1000;
  record(
    'consoleP95',
    at(
      all.map(({ completeMs }) => completeMs),
      0.95,
    ),
  );
  record('consoleSlowestP95', Math.max(...[...views.values()].map((of) => completeP95(of))));
  record('consoleScriptKilobytes', scriptKilobytes);
  const pausedMs = await timePaused(installation, extent);
  record('consolePausedMs', at(pausedMs, 0.95));
  const rows = await rowsOfTables(installation.clickhouse);
  say(`  rows: ${[...rows].map(([name, count]) => `${name} ${count}`).join(', ')}`);
  const count = (name: string): string => (rows.get(name) ?? 0).toLocaleString('en');
  return [
    `${extent.days} days of ${extent.tenants.toLocaleString('en')} tenants: ${count('stored_hours')} totals of hours, ` +
      `${count('stored_days')} of days, ${count('stored_minutes')} of minutes, ${count('stored_events')} events of the last ` +
      `${extent.eventHours} hours. The console is a process of its own. Each page is viewed by ${[...views.values()][0]?.length ?? 0} ` +
      'tenants in turn, one view at a time, with new connections and without a cache. Document: until its last byte. Complete: ' +
      'until the last byte of all scripts, style sheets and parts that the page requests at load.',
    pageTable(views),
    `All views: document p95 ${ms(
      at(
        all.map(({ documentMs }) => documentMs),
        0.95,
      ),
    )}, complete p50 ` +
      `${ms(
        at(
          all.map(({ completeMs }) => completeMs),
          0.5,
        ),
      )}, p95 ${ms(
        at(
          all.map(({ completeMs }) => completeMs),
          0.95,
        ),
      )} ` +
      `(aim 300 ms). Scripts of the largest page: ${scriptKilobytes.toFixed(1)} kB compressed (aim: below 60). ClickHouse paused: ` +
      `the portal’s page with Redis’s figures p50 ${ms(at(pausedMs, 0.5))}, longest ${ms(Math.max(...pausedMs))} (aim 300 ms). Load ` +
      `average ${load}.`,
  ].join('\n\n');
}

/** Views all pages in each round, so that a change of the machine's speed affects all of them. */
async function viewAll(
  installation: ConsoleInstallation,
  extent: Extent,
  { rounds, say }: { readonly rounds: number; readonly say: BenchOptions['say'] },
): Promise<Measured> {
  const views = new Map(measuredPages().map((page) => [page, [] as View[]]));
  const operator = await installation.operatorCookie();
  for (let round = -warmUpViews; round < rounds; round += 1) {
    const tenant = await viewedTenant(installation, numberOf(round, extent.tenants));
    const portal = await installation.portalCookie(tenantId(tenant.number));
    for (const page of [...views.keys()]) {
      try {
        const cookie = page.area === 'portal' ? portal : operator;
        const view = await viewPage(installation.url, page.path(tenant), cookie);
        if (round >= 0) views.get(page)?.push(view);
      } catch (error) {
        // A new page may need a value or contents that the benchmark does not have. The other pages are measured.
        views.delete(page);
        say(`  not measured: ${page.name}: ${messageOf(error)}`);
      }
    }
  }
  return views;
}

/** Tenants of all sizes: their numbers grow from the busiest to the last in equal factors. */
function numberOf(round: number, tenants: number): number {
  const share = (round + warmUpViews) / (viewsOfPage + warmUpViews);
  return Math.max(1, Math.min(tenants, Math.round(tenants ** share) + round + warmUpViews));
}

async function viewedTenant({ clickhouse }: ConsoleInstallation, number: number): Promise<ViewedTenant> {
  const [row] = await clickhouse.query<{ id: string }>(
    `SELECT event_id AS id FROM usage_events
    WHERE tenant_id = {tenant:String} AND decision = 'limited' ORDER BY time DESC LIMIT 1`,
    { tenant: tenantId(number) },
  );
  if (row === undefined) throw new Error(`tenant ${number} has no refused request`);
  return { number, refusalId: row.id };
}

/** Views the portal's first page while ClickHouse does not respond, also of tenants whose page was not viewed before. */
async function timePaused(
  installation: ConsoleInstallation,
  { tenants }: Extent,
): Promise<readonly number[]> {
  const times: number[] = [];
  const cookies = await Promise.all(
    [1, 2, 3, 5, 8, 13, 21, 34, tenants - 1, tenants].map((number) =>
      installation.portalCookie(tenantId(number)),
    ),
  );
  installation.server.pause();
  try {
    for (const cookie of cookies) {
      const startedAt = performance.now();
      const response = await fetch(`${installation.url}/usage`, { headers: { cookie } });
      const document = await response.text();
      times.push(performance.now() - startedAt);
      if (!document.includes('role="meter"'))
        throw new Error('the page has no figures of Redis while ClickHouse is paused');
    }
  } finally {
    installation.server.resume();
  }
  return times;
}

function pageTable(views: Measured): string {
  const rows = [...views].map(([page, of]) => [
    `\`${page.name}\``,
    ...[0.5, 0.95].map((share) =>
      ms(
        at(
          of.map(({ documentMs }) => documentMs),
          share,
        ),
      ),
    ),
    ms(
      at(
        of.map(({ completeMs }) => completeMs),
        0.5,
      ),
    ),
    ms(completeP95(of)),
    Math.max(...of.map(({ parts }) => parts)).toFixed(0),
    `${((of[0]?.scriptBytes ?? 0) / 1000).toFixed(1)} kB`,
  ]);
  return table(
    ['page', 'document p50', 'p95', 'complete p50', 'p95', 'deferred parts, most', 'scripts'],
    rows,
  );
}

function completeP95(views: readonly View[]): number {
  return at(
    views.map(({ completeMs }) => completeMs),
    0.95,
  );
}

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`;
}

/**
 * Goal: every panel on Prometheus shows what its description says. Method: a real Prometheus has recorded series with
 * known values for every metric. The result of each query equals the figure that is computed from these values, by an
 * expression that is written for this test and not derived from the query.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { allPanels, builtDashboards } from '../../../dashboards/render.ts';
import { needProgram } from '../../../dev/packages.ts';
import { startPrometheusServer } from '../../../dev/servers/prometheus.ts';
import type { RunningMonitor } from '../../../dev/servers/prometheus.ts';
import { figuresOf } from './figures-of-series.ts';
import { interpolate } from './grafana-variables.ts';
import type { View } from './grafana-variables.ts';
import { fleetFigures, pipelineFigures, spendFigures, tenantFigures } from './prometheus-figures.ts';
import { openMetrics, recordedSeries } from './recorded-series.ts';
import type { Recorded } from './recorded-series.ts';

const minuteMs = 60_000;
/** Ten minutes ago, at the start of a minute, after 70 minutes of samples. */
const toMs = Math.floor(Date.now() / minuteMs) * minuteMs - 10 * minuteMs;
const view: View = {
  ...{ fromMs: toMs - 70 * minuteMs, toMs, intervalMs: 2 * minuteMs },
  variables: { node: '.*', plan: 'pro' },
};

const figures = {
  ...{ fleet: fleetFigures, tenant: tenantFigures, pipeline: pipelineFigures },
  ...{ business: {}, spend: spendFigures },
};

const panels = [...builtDashboards()].flatMap(([board, dashboard]) =>
  allPanels(dashboard).flatMap((panel) => {
    const queries = ('targets' in panel ? (panel.targets ?? []) : [])
      .map((target) => (target as unknown as { readonly expr?: string }).expr)
      .filter((expr) => expr !== undefined)
      .map((expr) => interpolate(expr, view));
    return queries.length === 0 ? [] : [{ board, title: panel.title ?? '', queries }];
  }),
);

/** Alerts: one fires since five minutes, another is pending. */
const alerts: Recorded[] = (
  [
    ['TollgateLag', 'firing'],
    ['TollgateDrift', 'pending'],
  ] as const
).flatMap(([alertname, alertstate]) => [
  { metric: 'ALERTS', labels: { alertname, alertstate }, step: 1, isCounter: false },
  { metric: 'ALERTS_FOR_STATE', labels: { alertname }, step: toMs / 1000 - 300, isCounter: false },
]);

const series = [...recordedSeries(panels.flatMap(({ queries }) => queries)), ...alerts];
let dir: string;
let prometheus: RunningMonitor;

beforeAll(async () => {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  dir = await mkdtemp(join(tmpdir(), 'tollgate-figures-'));
  const file = join(dir, 'recorded.om');
  await writeFile(file, openMetrics(series, view));
  const promtool = await needProgram('promtool', say);
  const args = ['tsdb', 'create-blocks-from', 'openmetrics', file, join(dir, 'data')];
  await promisify(execFile)(promtool, args);
  prometheus = await startPrometheusServer({
    ...{ command: await needProgram('prometheus', say), dir, config: 'global: {}\n' },
  });
});

afterAll(async () => {
  await prometheus.stop();
  await rm(dir, { recursive: true, force: true });
});

interface Result {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

async function resultOf(query: string): Promise<readonly Result[]> {
  const parameters = new URLSearchParams({ query, time: String(toMs / 1000) });
  const response = await fetch(`${prometheus.url}/api/v1/query?${parameters.toString()}`);
  const { data, error } = (await response.json()) as {
    readonly data?: { readonly result: readonly Result[] };
    readonly error?: string;
  };
  if (data === undefined) throw new Error(`${query}: ${error ?? ''}`);
  return data.result;
}

test('B8: every panel on Prometheus has a figure of its own here', () => {
  for (const [board, own] of Object.entries(figures)) {
    const titles = panels.filter((panel) => panel.board === board).map(({ title }) => title);
    const tested = [...Object.keys(own), ...(board === 'fleet' ? ['Alerts that fire'] : [])];
    expect(tested.toSorted(), board).toEqual(titles.toSorted());
  }
});

test.each(panels.filter(({ title }) => title !== 'Alerts that fire'))(
  'B8: $board/$title',
  async ({ board, title, queries }) => {
    const shown = (figures[board] as typeof fleetFigures)[title]?.(figuresOf(series), toMs / 1000) ?? [];
    expect(queries.length).toBe(shown.length);
    for (const [index, expected] of shown.entries()) {
      const labels = Object.keys(expected[0]?.labels ?? {});
      const order = (a: readonly [string, number], b: readonly [string, number]): number =>
        a[0] === b[0] ? a[1] - b[1] : a[0] < b[0] ? -1 : 1;
      const key = (set: Readonly<Record<string, string>>): string =>
        labels.map((label) => set[label]).join(' ');
      const got = (await resultOf(queries[index] ?? '')).map(({ metric, value }): [string, number] => [
        key(metric),
        Number(value[1]),
      ]);
      const wanted = expected.map(({ labels: set, value }): [string, number] => [key(set), value]);
      const close = (value: number): unknown => expect.closeTo(value, value > 1e6 ? 0 : 6);
      expect(got.toSorted(order), queries[index]).toEqual(
        wanted.toSorted(order).map(([name, value]) => [name, close(value)]),
      );
    }
  },
);

test('B8: fleet/Alerts that fire: an alert that is pending is not shown', async () => {
  const { queries = [] } = panels.find(({ title }) => title === 'Alerts that fire') ?? {};
  const shown = await resultOf(queries[0] ?? '');
  expect(shown.map(({ metric, value }) => [metric['alertname'], Number(value[1])])).toEqual([
    ['TollgateLag', 300],
  ]);
});

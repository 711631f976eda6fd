import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alertRules } from '../../dashboards/alerts/alert-rules.ts';
import { recordingRules } from '../../dashboards/alerts/recording-rules.ts';
import { allPanels, builtDashboards } from '../../dashboards/render.ts';
import { interpolate } from '../integration/dashboards/grafana-variables.ts';
import { runPolicy } from '../support/policy-run.ts';
import type { PolicyRun } from '../support/policy-run.ts';
import { startPrometheus } from '../support/prometheus.ts';
import type { RunningPrometheus } from '../support/prometheus.ts';
import { eventually, uniqueName } from '../support/servers.ts';
import { serviceNames } from '../../dev/stack/services.ts';

/**
 * Goal: every metric that is named in a dashboard, an alert, a runbook or a document is exported, and every exported
 * metric is documented. Method: run all services with traffic, scrape them with a real Prometheus, and run every query.
 */
let run: PolicyRun;
let prometheus: RunningPrometheus;
/** The metrics that Tollgate itself defines, of all services, by name. */
let exported: ReadonlyMap<
  string,
  { readonly type: string; readonly help: string; readonly by: readonly string[] }
>;

beforeAll(async () => {
  run = await runPolicy('default', { services: serviceNames });
  prometheus = await startPrometheus(
    Object.fromEntries(
      serviceNames.map((name) => [
        `tollgate-${name}`,
        run.installation.service(name).opsUrl.replace('http://', ''),
      ]),
    ),
  );
  exported = await readExported();
});

afterAll(async () => {
  await prometheus.stop();
  await run.stop();
});

/** The lines `# HELP name text` and `# TYPE name kind` of every service. */
async function readExported(): Promise<typeof exported> {
  const found = new Map<string, { type: string; help: string; by: string[] }>();
  for (const service of serviceNames) {
    const text = await (await fetch(`${run.installation.service(service).opsUrl}/metrics`)).text();
    for (const [, name = '', help = '', type = ''] of text.matchAll(
      /^# HELP (tollgate_\w+) (.*)\n# TYPE \w+ (\w+)$/gm,
    )) {
      const earlier = found.get(name) ?? { type, help, by: [] };
      found.set(name, { ...earlier, by: [...earlier.by, service] });
    }
  }
  return found;
}

interface PanelQuery {
  readonly key: string;
  readonly expr: string;
}

const queries: readonly PanelQuery[] = [
  ...[...builtDashboards()].flatMap(([name, dashboard]) =>
    allPanels(dashboard).flatMap((panel) =>
      ('targets' in panel ? (panel.targets ?? []) : [])
        .map((target) => (target as unknown as { expr?: string }).expr)
        .filter((expr) => expr !== undefined)
        .map((expr) => ({ key: `${name}/${panel.title ?? ''}`, expr })),
    ),
  ),
  ...[...alertRules, ...recordingRules].map(({ name, query }) => ({ key: `alert/${name}`, expr: query })),
];

const view = {
  fromMs: 0,
  toMs: 0,
  intervalMs: 1_000,
  variables: { node: '.*', plan: 'free', database: '', tenant: '' },
};

/** Returns the metric names in a text, without the suffixes of histogram series. */
function metricsIn(text: string): string[] {
  return [...text.matchAll(/\btollgate_[a-z0-9_]+/g)]
    .map(([name]) => name)
    .map((name) => (exported.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '')));
}

test('B8: every metric that a dashboard, an alert or a runbook names is exported', () => {
  const runbooks = join(import.meta.dirname, '../../docs/runbooks');
  const texts = [
    ...queries.map(({ key, expr }) => ({ key, text: expr })),
    ...readdirSync(runbooks).map((file) => ({
      key: file,
      text: readFileSync(join(runbooks, file), 'utf8')
        .replaceAll('tollgate-', '')
        .replace(/^[^`]*?(?=```promql)/gs, ''),
    })),
  ];
  const unexported = texts.flatMap(({ key, text }) =>
    metricsIn(text)
      .filter((name) => !exported.has(name))
      .map((name) => `${key}: ${name}`),
  );
  expect(unexported).toEqual([]);
});

test('B8: every metric is documented', async () => {
  const shownOn = (metric: string): string =>
    [
      ...new Set(
        queries.filter(({ expr }) => metricsIn(expr).includes(metric)).map(({ key }) => key.split('/')[0]),
      ),
    ]
      .filter((name) => name !== 'alert')
      .join(', ');
  const rows = [...exported]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([name, { type, help, by }]) =>
        `| \`${name}\` | ${type} | ${by.join(', ')} | ${shownOn(name) || '–'} | ${help} |`,
    );
  const text = `# Metrics

Every service exports Prometheus metrics at \`/metrics\` on its private port. Each metric has the label \`service\`. No
tenant, user or address is ever a label. Services also export the default metrics of prom-client (\`process_…\`,
\`nodejs_…\`).

| metric | type | exported by | dashboards | meaning |
| --- | --- | --- | --- | --- |
${rows.join('\n')}

This table is generated from the metrics that the running services export: \`npx vitest run --project e2e
test/e2e/metrics.test.ts -u\`.
`;
  await expect(text).toMatchFileSnapshot('../../docs/metrics.md');
});

describe('B8, D4: panels show the traffic', () => {
  // The queries cover the last seconds, so the traffic lasts until the last of them was answered.
  const ending = new AbortController();
  let traffic: Promise<unknown>;

  beforeAll(async () => {
    const token = await run.token({ tenant_id: uniqueName('metrics'), sub: 'ada', tier: 'free' });
    traffic = eventually(
      async () => {
        await run.calls(3, 'POST /agent/chat', { token }, 3);
        await run.calls(2, 'GET /', { token });
        await run.calls(2, 'GET /', { headers: { 'x-service-token': run.serviceToken } });
        return ending.signal.aborted;
      },
      { timeoutMs: 600_000, intervalMs: 200 },
    );
  });

  afterAll(async () => {
    ending.abort();
    await traffic;
  });

  test('Prometheus accepts every query of a panel or an alert', async () => {
    for (const { expr } of queries) await prometheus.query(interpolate(expr, view));
  });

  test.each([
    ['fleet/Checks by decision', ['allowed', 'limited', 'bypassed']],
    ['fleet/Refusals by limit', ['chat']],
    ['fleet/Checks by plan', ['free']],
    ['fleet/Services up', ['']],
    ['fleet/p99 of a check', ['']],
    ['fleet/Latency of a Redis call', ['']],
    ['tenant/Units per minute against the plan’s minute limits', ['minute']],
    ['tenant/Units of the day against the plan’s day quota', ['day']],
    ['pipeline/Events into the spool', ['']],
    ['pipeline/Rows and repeats', ['']],
    ['pipeline/Event to total, p99', ['']],
    ['pipeline/Age of the totals', ['']],
  ])('%s', async (key, labels) => {
    const expr = queries.find((query) => query.key === key)?.expr ?? 'missing';
    const seen = await eventually(
      async () => {
        const found = (await prometheus.query(interpolate(expr, view)))
          .filter(({ values }) => values.some(([, value]) => Number(value) > 0))
          .map(({ metric }) => Object.values(metric).join(' '));
        return labels.every((label) => found.includes(label)) ? found : null;
      },
      { intervalMs: 250 },
    );
    expect(seen).toEqual(expect.arrayContaining(labels));
  });

  test('the exported limits of a plan are those of the policy', async () => {
    const [day] = await prometheus.query(
      'max(tollgate_policy_limit_units{plan="free",limit="day",service="gateway"})',
    );
    expect(day?.values.at(-1)?.[1]).toBe('1000');
  });
});

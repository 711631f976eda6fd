// Goal: the ClickHouse clients that analysts commonly use can read every column of every view, and amounts of money are
// returned as exact decimals.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pythonBin } from '../../../dev/python-packages.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { createClickHouseHttp } from '../../support/clickhouse-http.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';

type Row = Readonly<Record<string, unknown>>;

interface Read {
  readonly connect: { readonly views: Readonly<Record<string, readonly Row[]>>; readonly merged: unknown };
  readonly sqlalchemy: {
    readonly views: Readonly<
      Record<string, { rows: readonly Row[]; comment: string; comments: Record<string, string> }>
    >;
    readonly total: unknown;
  };
}

const { database } = uniqueNamespace();
const views = [
  'alerts',
  'audit',
  'plans',
  'tenants',
  'usage_by_day',
  'usage_by_hour',
  'usage_by_minute',
  'usage_events',
];
let clickhouse: ClickHouse;
let read: Read;

beforeAll(async () => {
  const { clickhouseUrl } = servers();
  clickhouse = createClickHouse({ url: clickhouseUrl, database });
  await migrate(clickhouse);
  const timeMs = Date.now();
  await storeUsage(clickhouse, [
    { timeMs, tenant: 'acme', cost: '0.000075', latencyMs: 30, limitedBy: ['minute'] },
    { timeMs, tenant: 'acme', cost: '123456.000000000001', latencyMs: 30 },
  ]);
  const at = new Date(timeMs).toISOString();
  await clickhouse.insert('stored_tenants', [
    { tenant_id: 'acme', overrides: { minute: 500 }, blocked_until: at, updated_at: at, kafka_offset: 1 },
  ]);
  await clickhouse.insert('stored_plans', [
    { plan: 'pro', price: '49', currency: 'USD', policy_revision: 'abc', written_at: at },
  ]);
  await clickhouse.insert('stored_alerts', [
    { alert_id: 'a', time: at, tenant_id: 'acme', period: at, channel: 'log', attempts: 1 },
  ]);
  await clickhouse.insert('stored_audit', [
    {
      time: at,
      id: 'a',
      tenant_id: 'acme',
      actor: 'kim',
      action: 'block',
      detail: 'Blocked',
      completeness: 1,
    },
  ]);
  const python = join(await pythonBin('clients', (line) => process.stderr.write(`${line}\n`)), 'python');
  const { hostname, port } = new URL(clickhouseUrl);
  const script = join(import.meta.dirname, 'read_views.py');
  const { stdout } = await promisify(execFile)(python, [script, hostname, port, database]);
  read = JSON.parse(stdout) as Read;
});

afterAll(async () => {
  await clickhouse.command(`DROP DATABASE ${database}`);
  await clickhouse.close();
});

test('clickhouse-connect reads every view with SELECT *', () => {
  expect(Object.keys(read.connect.views)).toEqual(views);
  for (const view of views) expect(read.connect.views[view], view).not.toEqual([]);
  expect(read.connect.views['usage_by_hour']?.[0]).toMatchObject({
    ...{ tenant_id: 'acme', requests: 2, cost: { decimal: '123456.000075000001' } },
    ...{ latency_p50: 30, latency_p95: 30, latency_p99: 30 },
  });
  expect(read.connect.views['tenants']?.[0]).toMatchObject({ overrides: { minute: 500 } });
});

test('a client that does not support the type of aggregate states reads the values merged from them', () => {
  expect(read.connect.merged).toEqual([[[30, 30, 30]]]);
});

test('SQLAlchemy reflects every view with its comments, and selects from it', () => {
  expect(Object.keys(read.sqlalchemy.views)).toEqual(views);
  for (const [view, { rows, comment, comments }] of Object.entries(read.sqlalchemy.views)) {
    expect(rows, view).not.toEqual([]);
    expect(comment, view).toMatch(/\w/);
    for (const [column, text] of Object.entries(comments)) expect(text, `${view}.${column}`).toMatch(/\w/);
  }
});

test('money is an exact decimal in both', () => {
  const costs = read.connect.views['usage_events']?.map(({ cost }) => cost);
  expect(costs).toEqual(
    expect.arrayContaining([{ decimal: '0.000075' }, { decimal: '123456.000000000001' }]),
  );
  expect(read.sqlalchemy.total).toEqual({ decimal: '123456.000075000001' });
});

test('FORMAT JSONEachRow returns every view as JSON, with all digits of money', async () => {
  const { text } = createClickHouseHttp(servers().clickhouseUrl, { database });
  for (const view of views) {
    const lines = (await text(`SELECT * FROM ${view} FORMAT JSONEachRow`)).trim().split('\n');
    for (const line of lines) expect(Object.keys(JSON.parse(line) as object), view).not.toEqual([]);
    if (view.startsWith('usage_by')) expect(lines[0], view).toContain('"cost":123456.000075000001,');
  }
});

import { createClient } from '@clickhouse/client';
import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { alertRules } from '../../dashboards/alerts/alert-rules.ts';
import { recordingRules } from '../../dashboards/alerts/recording-rules.ts';
import { serviceNames } from '../../dev/stack/services.ts';
import { copyCheckout } from '../support/checkout.ts';
import type { Checkout, StackFile, StartedStack } from '../support/checkout.ts';
import { eventually } from '../support/servers.ts';
import { checkKills } from './kill-processes.ts';

/**
 * `npm start` in a fresh copy of the repository. The tests depend on their order: first start, requests, killed
 * processes, kill of the whole stack, second start, clean stop, failed starts.
 */
const run = promisify(execFile);
const readyTimeoutMs = 120_000;
vi.setConfig({ testTimeout: 180_000 });
let checkout: Checkout;
let started: StartedStack;
let stack: StackFile;

beforeAll(async () => {
  checkout = await copyCheckout();
});
afterAll(async () => {
  started.signal('SIGTERM');
  await started.exited;
  for (const pid of await checkout.processes()) process.kill(pid, 'SIGKILL');
  await checkout.remove();
}, 60_000);

async function startAndWait(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const timing = { TOLLGATE_HEARTBEAT_MS: '2000', TOLLGATE_REDIS_TIMEOUT_MS: '2000' };
  started = checkout.start(args, { ...timing, ...env });
  let gone = false;
  void started.exited.then(() => (gone = true));
  await eventually(
    () => {
      if (gone) throw new Error(`npm start ended:\n${started.output()}`);
      return started.output().includes('Tollgate is ready');
    },
    { timeoutMs: readyTimeoutMs },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${started.output()}`);
  });
  stack = (await checkout.stackFile())!;
}

async function countEvents(tenantId: string): Promise<number> {
  const client = createClient({ url: stack.urls['clickhouse']! });
  try {
    const result = await client.query({
      query: `SELECT count() AS events FROM tollgate.usage_events
        WHERE tenant_id = {tenantId:String} AND node != 'sample-history'`,
      query_params: { tenantId },
      format: 'JSONEachRow',
    });
    return (await result.json<{ events: number }>())[0]!.events;
  } finally {
    await client.close();
  }
}

const quietTenant = (plan: string): StackFile['tenants'][number] =>
  stack.tenants.find((tenant) => tenant.plan === plan && !tenant.busy)!;

test('the first start brings up all services and servers and prints their addresses', async () => {
  await startAndWait(['--no-traffic']);
  for (const name of [...serviceNames, 'redis', 'kafka', 'clickhouse'])
    expect(stack.pids[name], name).toBeGreaterThan(1);
  for (const name of ['gateway', 'api', 'admin', 'console'])
    expect(stack.urls[name], name).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(stack.urls['rls']).toMatch(/^127\.0\.0\.1:\d+$/);
  expect(stack.urls['redis']).toMatch(/^redis:/);
  for (const plan of ['free', 'pro', 'enterprise']) expect(quietTenant(plan).api_key).toMatch(/^tgk_/);
  expect(stack.tenants.find(({ tenant_id: id }) => id === 'acme')?.plan).toBe('pro');
  for (const url of [stack.urls['gateway']!, stack.links.portal, stack.links.operator])
    expect(started.output()).toContain(url);
  for (const file of ['secrets.json', 'stack.json', 'headers/acme', 'headers/admin']) {
    expect(statSync(join(checkout.dir, '.local', file)).mode & 0o077, file).toBe(0);
  }
});

/** Runs the printed command that follows a comment, as a user would who pastes the commands in order. */
async function paste(comment: RegExp): Promise<string> {
  const lines = started.output().split('\n');
  const at = lines.findIndex((line) => comment.test(line));
  const headers = lines.find((line) => /^ {2}H=/.test(line));
  const end = lines.indexOf('', at);
  const { stdout } = await run('bash', ['-c', [headers, ...lines.slice(at + 1, end)].join('\n')]);
  return stdout;
}

test('E7: the printed commands do what they say: ten 200 and one 429, which are stored within seconds', async () => {
  expect(await paste(/# A call through the gateway/)).toMatch(/^HTTP\/1\.1 200[^]+x-ratelimit-limit: 1000/i);
  const statuses = await paste(/# Eleven calls/);
  expect(statuses.trim().split('\n')).toEqual([...Array.from({ length: 10 }, () => '200'), '429']);
  const { tenant_id: tenantId } = quietTenant('pro');
  await eventually(async () => (await countEvents(tenantId)) === 12, { timeoutMs: 30_000 });
  // Totals follow the stored events a moment later.
  const stored = await vi.waitFor(async () => {
    const text = await paste(/# These twelve calls/);
    expect(text).toMatch(/"requests":12/);
    return text;
  }, 30_000);
  expect(stored.match(/\/agent\/chat/g)).toHaveLength(11);
  expect(await paste(/# A link to the portal/)).toContain(`${stack.urls['console']!}/sign-in?token=`);
});

test('B8: Prometheus scrapes every service, has all alert rules and sends to Alertmanager', async () => {
  const query = async <Data>(path: string): Promise<Data> => {
    const response = await fetch(`${stack.urls['prometheus']!}/api/v1/${path}`);
    return ((await response.json()) as { readonly data: Data }).data;
  };
  const { groups } = await query<{ groups: readonly { rules: readonly { name: string }[] }[] }>('rules');
  expect(groups.flatMap(({ rules }) => rules.map(({ name }) => name))).toEqual(
    [...recordingRules, ...alertRules].map(({ name }) => name),
  );
  await eventually(
    async () => {
      const { activeTargets } = await query<{ activeTargets: readonly { health: string }[] }>('targets');
      return (
        activeTargets.length === serviceNames.length && activeTargets.every(({ health }) => health === 'up')
      );
    },
    { timeoutMs: 30_000 },
  );
  const { activeAlertmanagers } = await query<{ activeAlertmanagers: readonly { url: string }[] }>(
    'alertmanagers',
  );
  expect(activeAlertmanagers.map(({ url }) => new URL(url).origin)).toEqual([stack.urls['alertmanager']]);
  await eventually(
    async () => {
      const { result } = await query<{ result: readonly { value: readonly [number, string] }[] }>(
        `query?query=${encodeURIComponent('time() - max(tollgate_heartbeat_last_success_timestamp_seconds)')}`,
      );
      return Number(result[0]?.value[1]) < 60;
    },
    { timeoutMs: 30_000 },
  );
});

test('alerts of Alertmanager are written to the log of the on-call receiver', async () => {
  const alert = {
    labels: { alertname: 'TollgateTrial', severity: 'critical' },
    annotations: { summary: 'a trial' },
  };
  const response = await fetch(`${stack.urls['alertmanager']!}/api/v2/alerts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify([alert]),
  });
  expect(response.status).toBe(200);
  const log = join(checkout.dir, '.local', 'log', 'on-call.log');
  const line = await eventually(async () => /^\{.*TollgateTrial.*$/m.exec(await readFile(log, 'utf8'))?.[0], {
    timeoutMs: 60_000,
  });
  expect(JSON.parse(line)).toMatchObject({ to: 'on-call', status: 'firing', summary: 'a trial' });
});

test('B4: the printed links open the portal and the operator console, which are another process, signed in', async () => {
  const { location, cookie } = await follow(stack.links.portal);
  expect(new URL(location).origin).toBe(stack.urls['console']);
  const signedIn = await fetch(location, { redirect: 'manual' });
  expect(signedIn.headers.get('location')).toBe('/usage');
  expect(cookie).toBe('');
  const portal = signedIn.headers.getSetCookie()[0]!.split(';')[0]!;
  const page = await fetch(`${stack.urls['console']!}/usage?wait=1`, { headers: { cookie: portal } });
  expect(await page.text()).toContain('Usage now');
  const operator = await follow(stack.links.operator);
  // The list itself, not its placeholder, which the page has while ClickHouse is slow.
  const tenants = await fetch(`${operator.location}?wait=1`, { headers: { cookie: operator.cookie } });
  expect(await tenants.text()).toContain('northwind');
  expect((await fetch(new URL('/x/operator', stack.links.operator))).status).toBe(404);
  expect(stack.pids['admin']).not.toBe(stack.pids['console']);
});

async function follow(link: string): Promise<{ location: string; cookie: string }> {
  const response = await fetch(link, { redirect: 'manual' });
  const [cookie = ''] = response.headers.getSetCookie();
  return { location: response.headers.get('location') ?? '', cookie: cookie.split(';')[0]! };
}

test('the gateway accepts an API key of the sample tenants', async () => {
  const response = await fetch(`${stack.urls['gateway']!}/v1/orders`, {
    headers: { 'x-api-key': quietTenant('enterprise').api_key },
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('x-ratelimit-limit')).toBe('5000');
});

test('each process that is killed starts again, and each answered request is counted once', async () => {
  const { pids } = await checkKills(checkout, stack);
  stack = { ...stack, pids };
  expect(started.output()).toMatch(/✗ gateway has stopped unexpectedly and is started again in/);
  // The line follows the entry in the stack file.
  await eventually(() => /✓ kafka runs again \(pid \d+\)/.test(started.output()));
}, 600_000);

test('a second start beside a running one ends with an error and changes nothing', async () => {
  const second = checkout.start(['--no-traffic']);
  expect(await second.exited).toBe(1);
  expect(second.output()).toMatch(/is already running here/);
  expect((await checkout.stackFile())?.pids).toEqual(stack.pids);
});

test('a start after a SIGKILL of all processes finds no port in use and no lock held, and keeps secrets and data; an Alertmanager that fails does not end it', async () => {
  const before = stack;
  const own = await checkout.processes();
  started.signal('SIGKILL');
  for (const pid of own) process.kill(pid, 'SIGKILL');
  await eventually(async () => (await checkout.processes()).length === 0, { timeoutMs: 30_000 });
  const failing = join(checkout.dir, '.local', 'failing');
  await mkdir(failing);
  await writeFile(join(failing, 'alertmanager'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  await startAndWait([], { PATH: `${failing}:${process.env['PATH'] ?? ''}` });
  expect(stack.urls['alertmanager']).toBeUndefined();
  expect(stack.urls['prometheus']).toBeDefined();
  expect(started.output()).toMatch(/! alertmanager did not start \(.+\): alerts are evaluated and not sent/);
  // Another program of this machine may have a preferred port; no process of the first start has one.
  if (!started.output().includes('gateway 8080 →'))
    expect(stack.urls['gateway']).toBe('http://127.0.0.1:8080');
  expect(pathsOf(stack.links)).toEqual(pathsOf(before.links));
  expect(stack.admin_token).toBe(before.admin_token);
  expect(stack.tenants.map(({ api_key: key }) => key)).toEqual(before.tenants.map(({ api_key: key }) => key));
  expect(await countEvents(quietTenant('pro').tenant_id)).toBe(12);
  const busy = stack.tenants.filter((tenant) => tenant.busy);
  expect(new Set(busy.map(({ plan }) => plan))).toEqual(new Set(['free', 'pro', 'enterprise']));
  await eventually(async () => (await countEvents('northwind')) > 0, { timeoutMs: 30_000 });
});

function pathsOf({ portal, operator }: StackFile['links']): string[] {
  return [new URL(portal).pathname, new URL(operator).pathname];
}

test('SIGTERM to npm ends all processes within seconds', async () => {
  started.signal('SIGTERM');
  await started.exited;
  await eventually(async () => (await checkout.processes()).length === 0, { timeoutMs: 30_000 });
  expect(await checkout.stackFile()).toBeNull();
});

test('a start that fails ends the processes it started and prints the reason', async () => {
  started = checkout.start(['--no-traffic'], { TOLLGATE_POLICY: 'policies/no-such-file.yaml' });
  expect(await started.exited).toBe(1);
  expect(started.output()).toMatch(/Tollgate did not start: .+ ended while starting[^]+no-such-file/);
  expect(await checkout.processes()).toEqual([]);
  expect(await checkout.stackFile()).toBeNull();
});

test('a start that is interrupted ends the processes it started', async () => {
  started = checkout.start(['--no-traffic', '--fresh']);
  await eventually(() => started.output().includes('✓ Redis'), { timeoutMs: readyTimeoutMs });
  started.signal('SIGINT');
  await started.exited;
  await eventually(async () => (await checkout.processes()).length === 0, { timeoutMs: 30_000 });
});

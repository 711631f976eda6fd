import { createClient } from '@clickhouse/client';
import { statSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { alertRules } from '../../dashboards/alerts/alert-rules.ts';
import { serviceNames } from '../../dev/stack/services.ts';
import { copyCheckout } from '../support/checkout.ts';
import type { Checkout, StackFile, StartedStack } from '../support/checkout.ts';
import { eventually } from '../support/servers.ts';

/**
 * `npm start` in a fresh copy of the repository. The tests depend on their order: first start, requests, clean stop,
 * second start, kill, third start, failed start.
 */
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
      query: 'SELECT count() AS events FROM tollgate.usage_events WHERE tenant_id = {tenantId:String}',
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
  for (const url of [stack.urls['gateway']!, quietTenant('pro').jwt]) expect(started.output()).toContain(url);
  for (const file of ['secrets.json', 'stack.json']) {
    expect(statSync(join(checkout.dir, '.local', file)).mode & 0o077, file).toBe(0);
  }
});

test('E7: eleven calls give ten 200 and one 429, and are stored within seconds', async () => {
  const { tenant_id: tenantId, jwt } = quietTenant('pro');
  const statuses: number[] = [];
  for (let call = 0; call < 11; call++) {
    const response = await fetch(`${stack.urls['gateway']!}/agent/chat`, {
      method: 'POST',
      headers: { authorization: `Bearer ${jwt}`, 'content-type': 'application/json' },
      body: '{"message":"hello"}',
    });
    await response.arrayBuffer();
    statuses.push(response.status);
  }
  expect(statuses).toEqual([...Array.from({ length: 10 }, () => 200), 429]);
  expect(await eventually(async () => (await countEvents(tenantId)) === 11, { timeoutMs: 15_000 })).toBe(
    true,
  );
});

test('B8: Prometheus scrapes every service, has all alert rules and sends to Alertmanager', async () => {
  const query = async <Data>(path: string): Promise<Data> => {
    const response = await fetch(`${stack.urls['prometheus']!}/api/v1/${path}`);
    return ((await response.json()) as { readonly data: Data }).data;
  };
  const { groups } = await query<{ groups: readonly { rules: readonly { name: string }[] }[] }>('rules');
  expect(groups.flatMap(({ rules }) => rules.map(({ name }) => name))).toEqual(
    alertRules.map(({ name }) => name),
  );
  await eventually(
    async () => {
      const { activeTargets } = await query<{ activeTargets: readonly { health: string }[] }>('targets');
      return (
        activeTargets.length === serviceNames.length && activeTargets.every(({ health }) => health === 'up')
      );
    },
    { timeoutMs: 20_000 },
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
    timeoutMs: 25_000,
  });
  expect(JSON.parse(line)).toMatchObject({ to: 'on-call', status: 'firing', summary: 'a trial' });
});

test('B4: a portal link of the admin API opens the console, which is another process', async () => {
  const { tenant_id: tenantId } = quietTenant('pro');
  const answer = await fetch(`${stack.urls['admin']!}/admin/v1/portal-links`, {
    method: 'POST',
    headers: { authorization: `Bearer ${stack.admin_token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ tenant_id: tenantId }),
  });
  const { url } = (await answer.json()) as { readonly url: string };
  expect(new URL(url).origin).toBe(stack.urls['console']);
  const signedIn = await fetch(url, { redirect: 'manual' });
  expect(signedIn.headers.get('location')).toBe('/usage');
  const cookie = signedIn.headers.getSetCookie()[0]!.split(';')[0]!;
  const page = await fetch(`${stack.urls['console']!}/usage`, { headers: { cookie } });
  expect(await page.text()).toContain('Usage now');
  expect(stack.pids['admin']).not.toBe(stack.pids['console']);
});

test('the gateway accepts an API key of the sample tenants', async () => {
  const response = await fetch(`${stack.urls['gateway']!}/v1/orders`, {
    headers: { 'x-api-key': quietTenant('enterprise').api_key },
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('x-ratelimit-limit')).toBe('5000');
});

test('a second start beside a running one ends with an error and changes nothing', async () => {
  const second = checkout.start(['--no-traffic']);
  expect(await second.exited).toBe(1);
  expect(second.output()).toMatch(/is already running here/);
  expect((await checkout.stackFile())?.pids).toEqual(stack.pids);
});

test('SIGTERM to npm ends all processes within seconds', async () => {
  started.signal('SIGTERM');
  await started.exited;
  await eventually(async () => (await checkout.processes()).length === 0, { timeoutMs: 30_000 });
  expect(await checkout.stackFile()).toBeNull();
});

test('the next start keeps secrets and data, and an Alertmanager that fails does not end it', async () => {
  const before = stack;
  const failing = join(checkout.dir, '.local', 'failing');
  await mkdir(failing);
  await writeFile(join(failing, 'alertmanager'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  await startAndWait(['--no-traffic'], { PATH: `${failing}:${process.env['PATH'] ?? ''}` });
  expect(stack.urls['alertmanager']).toBeUndefined();
  expect(stack.urls['prometheus']).toBeDefined();
  expect(started.output()).toMatch(/! alertmanager did not start \(.+\): alerts are evaluated and not sent/);
  expect(stack.admin_token).toBe(before.admin_token);
  expect(stack.tenants.map(({ api_key: key }) => key)).toEqual(before.tenants.map(({ api_key: key }) => key));
  expect(await countEvents(quietTenant('pro').tenant_id)).toBe(11);
});

test('a start after a SIGKILL of all processes finds no port in use and no lock held', async () => {
  const ports = stack.urls;
  const own = await checkout.processes();
  started.signal('SIGKILL');
  for (const pid of own) process.kill(pid, 'SIGKILL');
  await eventually(async () => (await checkout.processes()).length === 0, { timeoutMs: 30_000 });
  await startAndWait([]);
  expect(stack.urls['gateway']).toBe(ports['gateway']);
  expect(await countEvents(quietTenant('pro').tenant_id)).toBe(11);
  const busy = stack.tenants.filter((tenant) => tenant.busy);
  expect(new Set(busy.map(({ plan }) => plan))).toEqual(new Set(['free', 'pro', 'enterprise']));
  await eventually(async () => (await countEvents('northwind')) > 0, { timeoutMs: 20_000 });
  started.signal('SIGINT');
  await started.exited;
  await eventually(async () => (await checkout.processes()).length === 0, { timeoutMs: 30_000 });
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
  started.signal('SIGTERM');
  await started.exited;
  await eventually(async () => (await checkout.processes()).length === 0, { timeoutMs: 30_000 });
});

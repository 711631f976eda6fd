// Goal: each example works as its README states, and keeps its promise about an outage of Tollgate.
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pythonBin } from '../../../dev/python-packages.ts';
import { freePort } from '../../../dev/servers/free-port.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { eventually, servers, uniqueName } from '../../support/servers.ts';
import { installPackages, patient } from './installed-packages.ts';
import type { InstalledPackages, StartedProgram } from './installed-packages.ts';

let run: PolicyRun;
let installed: InstalledPackages;
let python: string;

beforeAll(async () => {
  // Installs packages of npm and of Python, which takes minutes on a busy machine.
  run = await runPolicy('default', { services: ['gateway', 'aggregator'] });
  installed = await installPackages(
    ['fastify', 'express', 'client'],
    ['fastify', 'express', 'hono@4', '@hono/node-server@2'],
  );
  python = await pythonBin('examples', (line) => void process.stderr.write(`${line}\n`));
  const copy = (name: string, to = name): Promise<void> =>
    cp(join(import.meta.dirname, '../../../examples', name), join(installed.dir, to), { recursive: true });
  for (const name of ['fastify', 'express', 'hono', 'fastapi', 'worker', 'report']) await copy(name);
  // The first call of a program that has just started takes longer than its default timeout on a busy machine.
  for (const name of ['hono', 'fastapi']) await copy(name, `${name}-patient`);
  await edit('hono-patient/server.js', patient);
  await edit('fastapi-patient/tollgate.py', (code) => code.replace('timeout=0.25', 'timeout=20'));
}, 600_000);
afterAll(() => Promise.all([run.stop(), installed.remove()]));

async function edit(path: string, change: (code: string) => string): Promise<void> {
  const file = join(installed.dir, path);
  const code = await readFile(file, 'utf8');
  const changed = change(code);
  expect(changed).not.toBe(code);
  await writeFile(file, changed);
}

async function startServer(
  command: (port: string) => readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
): Promise<StartedProgram & { url: string }> {
  const port = String(await freePort());
  const [program, ...args] = command(port);
  const started = installed.start(program, args, { PORT: port, ...env });
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => {
    if (started.child.exitCode !== null) throw new Error(started.output());
    return (await fetch(`${url}/health`)).ok;
  });
  return { ...started, url };
}

async function statuses(count: number, url: string, init: RequestInit = {}): Promise<number[]> {
  const found: number[] = [];
  for (let call = 0; call < count; call += 1) {
    const response = await fetch(url, init);
    await response.text();
    found.push(response.status);
  }
  return found;
}

describe.each(['fastify', 'express'])('examples/%s', (name) => {
  test('the eleventh call of a minute gets a 429, and a report costs 5 units', async () => {
    const { TOLLGATE_KEY_PREFIX: keyPrefix, TOLLGATE_TOPIC_PREFIX: topicPrefix } = run.installation.env;
    const prefixes = `keyPrefix: '${keyPrefix}-${name}', topicPrefix: '${topicPrefix}',`;
    await edit(`${name}/server.js`, (code) =>
      code
        .replace("'policy.yaml',", `'${name}/policy.yaml', ${prefixes}`)
        .replace('redis://127.0.0.1:6379', servers().redisUrl)
        .replace('127.0.0.1:9092', servers().kafkaBrokers)
        .replace("'spool'", `'${name}/spool'`),
    );
    const server = await startServer(() => [process.execPath, `${name}/server.js`], {});
    expect(await statuses(5, `${server.url}/hello`)).toEqual(Array(5).fill(200));
    expect(await statuses(2, `${server.url}/reports`, { method: 'POST' })).toEqual([200, 429]);
    expect(await statuses(1, `${server.url}/hello`)).toEqual([429]);
    server.child.kill('SIGTERM');
    expect(await server.exited, server.output()).toBe(0);
  });
});

describe.each(['hono', 'fastapi'])('examples/%s', (name) => {
  type Command = (port: string) => readonly [string, ...string[]];
  const commandIn =
    (folder: string): Command =>
    (port) =>
      name === 'hono'
        ? [process.execPath, `${folder}/server.js`]
        : [join(python, 'uvicorn'), '--app-dir', folder, 'main:app', '--port', port];

  test('calls above the limit get a problem with the limit headers, and each call is one event', async () => {
    const env = { TOLLGATE_API: run.installation.urls.api, TOLLGATE_SERVICE_TOKEN: run.serviceToken };
    const server = await startServer(commandIn(`${name}-patient`), env);
    const tenant = uniqueName(name);
    const init = { method: 'POST', headers: { 'x-tenant': tenant } };
    expect(await statuses(10, `${server.url}/agent/chat`, init)).toEqual(Array(10).fill(200));
    const refused = await fetch(`${server.url}/agent/chat`, init);
    expect([refused.status, refused.headers.get('content-type')]).toEqual([429, 'application/problem+json']);
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await refused.json()).toMatchObject({ 'violated-policies': ['chat'] });
    await eventually(async () => {
      const rows = await run.clickhouse.query(
        'SELECT decision, count() AS requests FROM usage_events WHERE tenant_id = {tenant:String} GROUP BY decision ORDER BY decision',
        { tenant },
      );
      expect(rows).toEqual([
        { decision: 'allowed', requests: 10 },
        { decision: 'limited', requests: 1 },
      ]);
      return true;
    });
    server.child.kill('SIGTERM');
    await server.exited;
  });

  test('while Tollgate is away, `open` serves and `closed` responds with 503', async () => {
    const away = { TOLLGATE_API: `http://127.0.0.1:${await freePort()}`, TOLLGATE_SERVICE_TOKEN: 'x' };
    for (const [mode, status] of [
      ['open', 200],
      ['closed', 503],
    ] as const) {
      const server = await startServer(commandIn(name), { ...away, ON_FAILURE: mode });
      expect(await statuses(1, `${server.url}/agent/chat`, { method: 'POST' })).toEqual([status]);
      server.child.kill('SIGTERM');
      await server.exited;
    }
  });
});

test('examples/worker publishes an event a job, and a repeated run counts no job twice; examples/report shows it', async () => {
  const tenant = uniqueName('worker');
  const env = {
    TOLLGATE_API: run.installation.urls.api,
    TOLLGATE_SERVICE_TOKEN: run.serviceToken,
    TENANT: tenant,
  };
  for (let round = 0; round < 2; round += 1) {
    const worker = installed.start(process.execPath, ['worker/worker.js'], env);
    expect(await worker.exited, worker.output()).toBe(0);
    expect(worker.output()).toContain('stored: 20');
  }
  // 20 jobs of 2, 3, 1, 2, … minutes.
  const minutes = Array.from({ length: 20 }, (_, index) => ((index + 1) % 3) + 1).reduce((a, b) => a + b);
  await eventually(
    async () => {
      const report = installed.start(join(python, 'python'), ['report/report.py'], {
        CLICKHOUSE_URL: servers().clickhouseUrl,
        CLICKHOUSE_DATABASE: run.installation.env['CLICKHOUSE_DATABASE'] ?? '',
      });
      expect(await report.exited, report.output()).toBe(0);
      expect(report.output()).toMatch(new RegExp(`^${tenant}\\t20\\t0\\t${minutes}`, 'm'));
      expect(report.output()).toMatch(/^transcription\.minutes\t20\t/m);
      return true;
    },
    { timeoutMs: 60_000, intervalMs: 500 },
  );
});

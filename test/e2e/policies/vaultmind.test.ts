import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needProgram } from '../../../dev/packages.ts';
import { freePort } from '../../../dev/servers/free-port.ts';
import { runPolicy, tally } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { eventually, uniqueName } from '../../support/servers.ts';

const shell = promisify(execFile);
let run: PolicyRun;
let lastAddress = 0;

beforeAll(async () => {
  run = await runPolicy('vaultmind', { services: ['gateway', 'aggregator', 'admin', 'console'] });
});

afterAll(() => run.stop());

/** An address that no other test of this file uses. */
const address = (): string => `198.18.${++lastAddress >> 8}.${lastAddress & 255}`;
const from = (ip: string): { headers: Record<string, string> } => ({ headers: { 'x-forwarded-for': ip } });

describe('E1: limits by address and endpoint', () => {
  test.each([
    ['GET /health', 100],
    ['POST /agent/chat', 10],
    ['POST /agent/calendar', 20],
    ['GET /audit/logs', 30],
  ])('E1: %s passes %i a minute for an address', async (request, limit) => {
    expect(tally(await run.calls(limit + 2, request, from(address()), 20))).toEqual({
      200: limit,
      429: 2,
    });
    const response = await run.call(request, from(address()));
    expect(response.status, 'another address').toBe(200);
    expect(response.headers.get('ratelimit-policy')).toContain(`q=${limit};w=60`);
  });

  test('E1: endpoints are counted apart', async () => {
    const ip = address();
    expect(tally(await run.calls(12, 'POST /agent/chat', from(ip)))).toEqual({ 200: 10, 429: 2 });
    expect(tally(await run.calls(22, 'POST /agent/calendar', from(ip)))).toEqual({ 200: 20, 429: 2 });
  });
});

test('E2: the limit of the tier applies to a user at all addresses together; without a token it applies to the address', async () => {
  const claims = { tenant_id: uniqueName('vault'), sub: uniqueName('user') };
  const free = await run.token({ ...claims, tier: 'free' });
  const responses = await Promise.all(
    Array.from({ length: 122 }, () => run.call('GET /notes', { token: free, ...from(address()) })),
  );
  expect(tally(responses)).toEqual({ 200: 120, 429: 2 });
  const pro = await run.token({ ...claims, sub: uniqueName('user'), tier: 'pro' });
  expect((await run.call('GET /notes', { token: pro })).headers.get('x-ratelimit-limit')).toBe('600');
  const ip = address();
  expect(tally(await run.calls(122, 'GET /notes', from(ip), 20))).toEqual({ 200: 120, 429: 2 });
});

describe('E3: nginx in front', () => {
  let nginx: ChildProcess;
  let dir: string;
  let url: string;

  beforeAll(async () => {
    const program = await needProgram('nginx', (line) => process.stderr.write(`${line}\n`));
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    dir = await mkdtemp(join(tmpdir(), 'tollgate-nginx-'));
    await writeFile(join(dir, 'nginx.conf'), configuration(port, run.installation.urls.gateway, dir));
    nginx = spawn(program, ['-p', dir, '-c', join(dir, 'nginx.conf'), '-e', join(dir, 'error.log')], {
      stdio: 'ignore',
    });
    await eventually(async () => (await fetch(`${url}/nginx-ready`)).status === 204);
  });

  afterAll(async () => {
    const gone = once(nginx, 'exit');
    nginx.kill('SIGQUIT');
    await gone;
    await rm(dir, { recursive: true, force: true });
  });

  test('E3: the client behind nginx is limited, and receives the limit headers', async () => {
    const chat = (ip: string): Promise<Response> =>
      fetch(`${url}/agent/chat`, { method: 'POST', headers: { 'x-real-client': ip } });
    const ip = address();
    const statuses: number[] = [];
    for (let index = 0; index < 11; index++) statuses.push((await chat(ip)).status);
    expect(statuses).toEqual([...Array<number>(10).fill(200), 429]);
    const refused = await chat(ip);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(refused.headers.get('x-ratelimit-limit')).toBe('10');
    expect((await chat(address())).status).toBe(200);
  });
});

/**
 * In the test nginx reads the client's address from a header instead of the connection, so that one test can send
 * requests of many clients.
 */
function configuration(port: number, gateway: string, dir: string): string {
  return `
daemon off; pid ${dir}/nginx.pid; error_log ${dir}/error.log;
events {}
http {
  access_log off;
  client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy;
  fastcgi_temp_path ${dir}/fastcgi; uwsgi_temp_path ${dir}/uwsgi; scgi_temp_path ${dir}/scgi;
  server {
    listen 127.0.0.1:${port};
    location = /nginx-ready { return 204; }
    location / { proxy_pass ${gateway}; proxy_set_header X-Forwarded-For $http_x_real_client; }
  }
}`;
}

test('E4: every limit hit is logged and stored with user, address and route', async () => {
  const [tenant, user, ip] = [uniqueName('vault'), uniqueName('user'), address()];
  const token = await run.token({ tenant_id: tenant, sub: user, tier: 'pro' });
  await run.calls(12, 'POST /agent/chat', { token, ...from(ip) });
  const { log } = run.installation.service('gateway');
  const line = await eventually(() =>
    log()
      .split('\n')
      .find((one) => one.includes(user)),
  );
  expect(JSON.parse(line)).toMatchObject({
    tenant,
    user,
    ip,
    method: 'POST',
    route: 'POST /agent/chat',
    limited_by: ['chat'],
  });
  const rows = await eventually(async () => {
    const found = await run.clickhouse.query(
      "SELECT DISTINCT user_id, client_ip, path, limited_by FROM usage_events WHERE tenant_id = {tenant:String} AND decision = 'limited'",
      { tenant },
    );
    return found.length > 0 ? found : null;
  });
  expect(rows).toEqual([{ user_id: user, client_ip: ip, path: '/agent/chat', limited_by: ['chat'] }]);
});

test('E5: the portal shows developers how a client handles a 429', async () => {
  const tenant = uniqueName('vault');
  const link = await run.admin('POST /admin/v1/portal-links', { tenant_id: tenant });
  const { pathname, search } = new URL(String(link.body['url']));
  const { console: base } = run.installation.urls;
  const signedIn = await fetch(base + pathname + search, { redirect: 'manual' });
  const cookie = signedIn.headers.get('set-cookie')?.split(';')[0] ?? '';
  const guide = await (await fetch(`${base}/guide`, { headers: { cookie } })).text();
  expect(guide).toContain('Retry-After');
  expect(guide).toMatch(/curl|fetch\(/);
});

test('E6: the totals state the cost of served requests and the cost that limits avoided', async () => {
  const tenant = uniqueName('vault');
  const token = await run.token({ tenant_id: tenant, sub: 'ada', tier: 'pro' });
  const responses = await run.calls(14, 'POST /agent/chat', { token, ...from(address()) });
  const served = tally(responses)[200] ?? 0;
  const rows = await eventually(async () => {
    const found = await run.clickhouse.query<{ requests: number; cost: number; saved: number }>(
      `SELECT sum(u.requests) AS requests, round(sumIf(u.cost, decision != 'limited') / 0.000075) AS cost,
              round(sumIf(u.cost, decision = 'limited') / 0.000075) AS saved
       FROM usage_by_minute AS u WHERE tenant_id = {tenant:String}`,
      { tenant },
    );
    return found[0]?.requests === 14 ? found : null;
  });
  expect(rows).toEqual([{ requests: 14, cost: served, saved: 14 - served }]);
});

test('E7: the curl loop: eleven calls to a limit of ten give ten 200 and one 429', async () => {
  const loop = `for i in $(seq 1 11); do curl -s -o /dev/null -w '%{http_code} ' -X POST -H 'X-Forwarded-For: ${address()}' '${run.installation.urls.gateway}/agent/chat'; done`;
  const { stdout } = await shell('bash', ['-c', loop]);
  expect(stdout.trim().split(' ')).toEqual([...Array<string>(10).fill('200'), '429']);
});

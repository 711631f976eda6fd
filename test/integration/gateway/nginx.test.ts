import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needProgram } from '../../../dev/packages.ts';
import { freePort } from '../../../dev/servers/free-port.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { as, limitHeadersOf, startGateway, startUpstream } from './gateway.ts';
import type { TestGateway, TestUpstream } from './gateway.ts';

/** The configuration of docs/api.md, run by a real nginx in front of an upstream. */
let gateway: TestGateway;
let upstream: TestUpstream;
let nginx: ChildProcess;
let folder: string;
let url: string;

function nginxConfig(port: number): string {
  const [, documented] = /```nginx\n([^]*?)```/.exec(readFileSync('docs/api.md', 'utf8')) ?? [];
  if (documented === undefined) throw new Error('docs/api.md has no nginx configuration');
  const server = documented
    .replace('http://api;', `${upstream.url};`)
    .replace('http://127.0.0.1:8081/', `${gateway.apiUrl}/`);
  return `daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr warn;
    events {}
    http {
      access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
      uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
      server { listen 127.0.0.1:${port}; ${server} }
    }`;
}

beforeAll(async () => {
  const program = await needProgram('nginx', (line) => process.stderr.write(`${line}\n`));
  upstream = await startUpstream((_request, response) => response.end('served'));
  gateway = await startGateway({
    policy: {
      routes: '[{ match: POST /agent/chat, limits: [{ name: chat, per: user, limit: 3, window: 1m }] }]',
    },
  });
  folder = mkdtempSync(join(tmpdir(), 'tollgate-nginx-'));
  const port = await freePort();
  writeFileSync(join(folder, 'nginx.conf'), nginxConfig(port));
  nginx = spawn(program, ['-p', folder, '-c', join(folder, 'nginx.conf')], { stdio: 'inherit' });
  url = `http://127.0.0.1:${port}`;
  await eventually(() => fetch(`${url}/ready`));
});

afterAll(async () => {
  const gone = once(nginx, 'exit');
  nginx.kill('SIGTERM');
  await gone;
  await gateway.close();
  await upstream.close();
  rmSync(folder, { recursive: true });
});

test('E3: nginx asks for each request, passes what may pass, and answers a refusal as a whole 429', async () => {
  const headers = await as(uniqueName('acme'));
  const call = (): Promise<Response> =>
    fetch(`${url}/agent/chat?x=1`, { method: 'POST', headers, body: '{}' });
  for (const remaining of [2, 1, 0]) {
    const response = await call();
    expect(response.status).toBe(200);
    expect(limitHeadersOf(response)).toMatchObject({ limit: 3, remaining });
    expect(await response.text()).toBe('served');
  }
  const refused = await call();
  expect(refused.status).toBe(429);
  expect(refused.headers.get('content-type')).toBe('application/problem+json');
  expect(limitHeadersOf(refused)).toMatchObject({ limit: 3, remaining: 0 });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
  expect(await refused.json()).toMatchObject({ status: 429, 'violated-policies': ['chat'] });
});

test('E3: a bad token is a 401 behind nginx too, and a client cannot claim another address', async () => {
  expect((await fetch(`${url}/agent/chat`, { headers: { authorization: 'Bearer x' } })).status).toBe(401);
  gateway.events.length = 0;
  await fetch(`${url}/fine`, { headers: { 'x-forwarded-for': '203.0.113.9, 198.51.100.4' } });
  // The test's own address is a trusted proxy, so the entry before it is believed; the ones left of it are not.
  expect(gateway.requests()[0]?.data.client_ip).toBe('198.51.100.4');
});

import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listenOps } from '../../../shared/runtime/http/ops.ts';
import { getAsScript, post, visit } from '../console/browser.ts';
import { adminToken, createFixture } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';
import { clientOf } from './client.ts';
import type { Client } from './client.ts';
import { operatorCookie, portalCookie } from './cookies.ts';
import { consoleSamples } from './console-routes.ts';
import { adminSamples } from './routes.ts';
import { tenant } from './sample.ts';
import type { Samples } from './sample.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

const bearer = { authorization: `Bearer ${adminToken}` };

async function cookies(): Promise<{ cookie: string }> {
  const both = [await portalCookie(fixture.tokens, 'walked'), await operatorCookie(fixture.tokens)];
  return { cookie: both.join('; ') };
}

const listeners = [
  [
    'admin',
    () => ({
      app: fixture.adminApp,
      samples: adminSamples,
      type: 'application/json',
      signedIn: () => bearer,
    }),
  ],
  [
    'console',
    () => ({
      app: fixture.consoleApp,
      samples: consoleSamples('tgk_none'),
      type: 'application/x-www-form-urlencoded',
      signedIn: cookies,
    }),
  ],
] as const;

/** Headers that browsers send when a page of another site makes the request. */
const foreign: readonly Record<string, string>[] = [
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site' },
  { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
  { origin: 'https://evil.example' },
  { origin: 'null' },
];

function changing(samples: Samples): string[] {
  return Object.keys(samples).filter((name) => !/^(GET|HEAD) /.test(name));
}

describe('a change sent by a page of another site is refused', () => {
  test.each(listeners)(
    'on every changing route of the %s listener, with and without a body',
    async (_name, of) => {
      const { app, samples, type, signedIn } = of();
      const client = await clientOf(app);
      const headers = await signedIn();
      const passed: string[] = [];
      let sent = 0;
      for (const name of changing(samples)) {
        const [method = '', url = ''] = name.split(' ');
        for (const context of foreign) {
          for (const body of [null, samples[name]?.().body ?? '']) {
            const { path } = samples[name]?.() ?? { path: url };
            const content = body === null ? {} : { 'content-type': type };
            const call = { method, target: path, body, headers: { ...headers, ...context, ...content } };
            sent += 1;
            if ((await client.send(call)) !== 403) passed.push(`${name} ${JSON.stringify(context)}`);
          }
        }
      }
      client.close();
      console.log(`${sent} requests of other sites`);
      expect(passed).toEqual([]);
    },
  );

  test.each(listeners)(
    'the %s listener accepts changes of its own pages and of programs',
    async (_name, of) => {
      const { app, samples, type, signedIn } = of();
      const client = await clientOf(app);
      const headers = await signedIn();
      for (const context of [
        {},
        { 'sec-fetch-site': 'same-origin' },
        { 'sec-fetch-site': 'none' },
        { origin: client.origin },
      ]) {
        for (const name of changing(samples)) {
          const [method = ''] = name.split(' ');
          const { path, body = null } = samples[name]?.() ?? { path: '/' };
          const content = body === null ? {} : { 'content-type': type };
          const status = await client.send({
            method,
            target: path,
            body,
            headers: { ...headers, ...context, ...content },
          });
          expect([name, status]).not.toEqual([name, 403]);
        }
      }
      client.close();
    },
  );

  test('behind a proxy that writes another Host the console accepts forms of its public address', async () => {
    const client = await clientOf(fixture.consoleApp);
    const send = (origin: string): Promise<number> =>
      client.send({ method: 'POST', target: '/sign-out', body: null, headers: { origin } });
    expect(await send('http://console.test')).toBe(303);
    expect(await send('http://console.test.evil.example')).toBe(403);
    client.close();
  });
});

test('a page that answers a form requests its parts from addresses that exist', async () => {
  const id = tenant();
  const hash = createHash('sha256').update(id).digest('hex');
  const stated = { updated_at: '2026-01-01T00:00:00Z', updated_by: 'test' };
  await fixture.directory.put({ tenant_id: id, api_keys_sha256: [hash], ...stated });
  const cookie = [await visit(fixture, id), await operatorCookie(fixture.tokens)].join('; ');
  const ends = /sign-out|sessions\/end|revoke-all/;
  const polling = new Set<string>();
  const missing: string[] = [];
  const samples = consoleSamples('tgk_none');
  for (const name of changing(samples).filter((route) => !ends.test(route))) {
    const { path, body = '' } = samples[name]?.() ?? { path: '/' };
    for (const sent of [body, '']) {
      const target = path.replace('/keys/0123456789ab', `/keys/${hash.slice(0, 12)}`);
      const form = name.endsWith('/roll') || name.endsWith('/revoke') ? '' : sent;
      const answer = await post(fixture, target, Object.fromEntries(new URLSearchParams(form)), cookie);
      for (const [, part = ''] of answer.text.matchAll(/hx-get="([^"]+)"/g)) {
        polling.add(name);
        const { status } = await getAsScript(fixture, part.replaceAll('&amp;', '&'), cookie);
        if (status !== 200) missing.push(`${name}: ${part} answers ${status}`);
      }
    }
  }
  expect(missing).toEqual([]);
  expect([...polling]).toEqual(expect.arrayContaining(['POST /notifications/limits']));
});

test.each([
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'text/json',
])('the admin listener takes no body of type %s', async (type) => {
  const client = await clientOf(fixture.adminApp);
  for (const name of changing(adminSamples)) {
    const [method = ''] = name.split(' ');
    const { path } = adminSamples[name]?.() ?? { path: '/' };
    const headers = { ...bearer, 'content-type': type };
    const status = await client.send({ method, target: path, body: '{"reason":"x"}', headers });
    expect([name, status]).toEqual([name, 415]);
  }
  client.close();
});

describe('a private listener on a loopback address', () => {
  let admin: Client;
  let ops: Client;
  beforeAll(async () => {
    admin = await clientOf(fixture.adminApp);
    ops = await clientOf(await listenOps('127.0.0.1', 0, { registry: new Registry(), unready: () => [] }));
  });

  test('refuses a host name that another party could own, on every route', async () => {
    for (const client of [admin, ops])
      for (const target of ['/metrics', '/healthz', '/nowhere', '/admin/openapi.json', '/admin/v1/tenants'])
        for (const host of ['rebound.example', 'rebound.example:8082', '127.0.0.1.rebound.example']) {
          const status = await client.send({
            method: 'GET',
            target,
            body: null,
            headers: { ...bearer, host },
          });
          expect([target, host, status]).toEqual([target, host, 421]);
        }
  });

  test('accepts addresses, local names, and HTTP/1.0 without a host', async () => {
    for (const client of [admin, ops])
      for (const host of ['127.0.0.1', 'localhost:1', '[::1]', 'console:8082', '192.0.2.7'])
        expect(await client.send({ method: 'GET', target: '/metrics', body: null, headers: { host } })).toBe(
          200,
        );
    const { port } = fixture.adminApp.server.address() as AddressInfo;
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.write('GET /healthz HTTP/1.0\r\n\r\n'));
      socket.once('data', (data) => {
        resolve(data.toString());
        socket.destroy();
      });
    });
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });
});

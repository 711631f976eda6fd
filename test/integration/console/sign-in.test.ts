import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { uniqueName } from '../../support/servers.ts';
import { adminToken, createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';

let fixture: Fixture;
let key: string;
beforeAll(async () => {
  fixture = await createFixture({
    singleSignOn: {
      begin: () => Promise.resolve(null),
      finish: () => Promise.resolve({ ok: false, status: 401, reason: 'Not started in this browser.' }),
      endAddress: () => Promise.resolve(null),
    },
  });
  const { body } = await fixture.admin(`POST /admin/v1/tenants/${uniqueName('throttled')}/api-keys`);
  key = String(body['api_key']);
});
afterAll(() => fixture.dispose());

const failuresMax = 20;

interface Client {
  readonly remoteAddress: string;
  readonly forwarded?: string;
}

interface SignInMethod {
  readonly url: string;
  readonly right: () => Record<string, string>;
  readonly wrong: Record<string, string>;
}

const methods: readonly (readonly [string, SignInMethod])[] = [
  [
    'the portal',
    { url: '/sign-in', right: () => ({ credential: key }), wrong: { credential: 'tgk_a-wrong-guess' } },
  ],
  [
    'the operator console',
    {
      url: '/operator/sign-in',
      right: () => ({ token: adminToken, name: 'robin' }),
      wrong: { token: 'a-wrong-guess', name: 'robin' },
    },
  ],
];

describe('requests that no browser sends', () => {
  test.each(['/%', '/%ff', '/usage/%zz', '/operator/tenants/%e0%a4', '/%00'])(
    'an undecodable path is answered with a page and its content security policy: %s',
    async (url) => {
      const { statusCode, headers, body } = await fixture.consoleApp.inject({ method: 'GET', url });
      expect([statusCode, headers['content-type']]).toEqual([404, expect.stringContaining('text/html')]);
      expect(headers['content-security-policy']).toContain("default-src 'none'");
      expect(body).toContain('No such page');
    },
  );

  test.each([
    ['application/x-www-form-urlencoded; charset=utf-16', 415],
    ['application/x-www-form-urlencoded;charset="ISO-8859-1"', 415],
    ['application/x-www-form-urlencoded; charset=utf-8; charset=utf-7', 415],
    ['application/x-www-form-urlencoded; charset=UTF-8', 303],
  ])('a form as %s is answered with %i', async (type, status) => {
    const response = await fixture.consoleApp.inject({
      method: 'POST',
      url: '/sign-in',
      payload: new URLSearchParams({ credential: key }).toString(),
      headers: { 'content-type': type },
    });
    expect([response.statusCode, response.headers['content-type'] ?? 'text/html']).toEqual([
      status,
      expect.stringContaining('text/html'),
    ]);
  });

  test('a form that is not UTF-8 is refused', async () => {
    const response = await fixture.consoleApp.inject({
      method: 'POST',
      url: '/sign-in',
      payload: Buffer.from([0x63, 0x3d, 0xff, 0xfe]),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(response.statusCode).toBe(400);
  });
});

async function signIn(
  url: string,
  form: Record<string, string>,
  { remoteAddress, forwarded }: Client,
): Promise<{ status: number; retryAfter: number; signedIn: boolean }> {
  const response = await fixture.consoleApp.inject({
    method: 'POST',
    url,
    remoteAddress,
    payload: new URLSearchParams(form).toString(),
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      ...(forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }),
    },
  });
  const { statusCode, headers } = response;
  return {
    status: statusCode,
    retryAfter: Number(headers['retry-after'] ?? 0),
    signedIn: headers['set-cookie'] !== undefined,
  };
}

/** Ten minutes, without the time since the first failure. */
function expectWait(retryAfterSeconds: number, firstFailedAtMs: number): void {
  const elapsedSeconds = Math.ceil((performance.now() - firstFailedAtMs) / 1000);
  expect(retryAfterSeconds).toBeGreaterThanOrEqual(600 - elapsedSeconds);
  expect(retryAfterSeconds).toBeLessThanOrEqual(600);
}

async function exhaust({ url, wrong }: SignInMethod, client: Client): Promise<void> {
  const startedAtMs = performance.now();
  for (let count = 0; count < failuresMax; count += 1)
    expect((await signIn(url, wrong, client)).status).toBe(401);
  const throttled = await signIn(url, wrong, client);
  expect(throttled).toMatchObject({ status: 429, signedIn: false });
  expectWait(throttled.retryAfter, startedAtMs);
}

describe.each(methods)('the form to sign in to %s', (_name, { url, wrong }) => {
  const [secret = ''] = Object.keys(wrong).filter((name) => name !== 'name');
  const inputOf = (body: string, name: string): string =>
    new RegExp(`<input[^>]*name="${name}"[^>]*>`).exec(body)?.[0] ?? '';

  test('marks the wrong secret, has the focus there, keeps the name and never sends the secret back', async () => {
    const { body } = await fixture.consoleApp.inject({
      method: 'POST',
      url,
      remoteAddress: '192.0.2.241',
      payload: new URLSearchParams(wrong).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    const input = inputOf(body, secret);
    expect(input).toMatch(/\sautofocus\s[^]*aria-invalid="true"/);
    const [, described = ''] = /aria-describedby="([^" ]*)/.exec(input) ?? [];
    expect(body).toMatch(new RegExp(`<p class="error" id="${described}">[^<]+</p>`));
    expect(body).not.toContain('a-wrong-guess');
    if ('name' in wrong) expect(inputOf(body, 'name')).toContain('value="robin"');
    expect(body.match(/\sautofocus\s/g)).toHaveLength(1);
  });
});

test('the form to sign in has the focus in its first field; with a provider, the operators’ form has none', async () => {
  const focused = async (url: string): Promise<number> =>
    [...(await fixture.consoleApp.inject(url)).body.matchAll(/\sautofocus\s/g)].length;
  expect([await focused('/'), await focused('/operator')]).toEqual([1, 0]);
});

describe.each(methods)('failed sign-ins of %s', (_name, method) => {
  test('are throttled by address, and never lock out the right secret', async () => {
    const client = { remoteAddress: '203.0.113.9' };
    await exhaust(method, client);
    expect(await signIn(method.url, method.right(), client)).toMatchObject({ status: 303, signedIn: true });
    expect((await signIn(method.url, method.wrong, client)).status).toBe(429);
    expect((await signIn(method.url, method.wrong, { remoteAddress: '203.0.113.10' })).status).toBe(401);
  });

  test('behind a trusted proxy count for the client that it names', async () => {
    const proxy = { remoteAddress: '127.0.0.1' };
    await exhaust(method, { ...proxy, forwarded: '198.51.100.1' });
    expect((await signIn(method.url, method.wrong, { ...proxy, forwarded: '198.51.100.2' })).status).toBe(
      401,
    );
    const spoofed = { ...proxy, forwarded: '192.0.2.1, 198.51.100.1' };
    expect((await signIn(method.url, method.wrong, spoofed)).status).toBe(429);
  });

  test('from an untrusted peer count for the peer, not for its X-Forwarded-For', async () => {
    const peer = { remoteAddress: '198.51.100.77' };
    await exhaust(method, peer);
    expect((await signIn(method.url, method.wrong, { ...peer, forwarded: '192.0.2.55' })).status).toBe(429);
  });

  test('over IPv6 count for the /64', async () => {
    await exhaust(method, { remoteAddress: '2001:db8:0:7::1' });
    const neighbour = { remoteAddress: '2001:db8:0:7:ffff::2' };
    expect((await signIn(method.url, method.wrong, neighbour)).status).toBe(429);
    expect((await signIn(method.url, method.wrong, { remoteAddress: '2001:db8:0:8::1' })).status).toBe(401);
  });

  test('with a text of 60 kB count like others', async () => {
    const long = Object.fromEntries(
      Object.entries(method.wrong).map(([name, text]) => [name, name === 'name' ? text : 'x'.repeat(60_000)]),
    );
    expect((await signIn(method.url, long, { remoteAddress: '203.0.113.200' })).status).toBe(401);
  });
});

describe.each([
  ['a portal link', '/sign-in?token=changed'],
  ['single sign-on', '/operator/oidc/callback?code=changed&state=changed'],
])('failed sign-ins by %s', (_name, url) => {
  test('are throttled by address', async () => {
    const call = (remoteAddress: string) => fixture.consoleApp.inject({ method: 'GET', url, remoteAddress });
    const startedAtMs = performance.now();
    for (let count = 0; count < failuresMax; count += 1)
      expect((await call('192.0.2.150')).statusCode).toBe(401);
    const throttled = await call('192.0.2.150');
    expect(throttled.statusCode).toBe(429);
    expectWait(Number(throttled.headers['retry-after']), startedAtMs);
    expect((await call('192.0.2.151')).statusCode).toBe(401);
  });
});

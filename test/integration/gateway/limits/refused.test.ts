// Goal: invalid credentials are charged only to the address that sent them, and a flood of invalid credentials uses
// almost no resources of the platform.
import { randomBytes, randomInt } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hashApiKey } from '../../../../shared/identity/api-keys.ts';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { startIssuer } from '../../../unit/identity/issuer.ts';
import type { Issuer } from '../../../unit/identity/issuer.ts';
import { serviceToken, startGateway, startUpstream, tokenOf } from '../gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway.ts';

const plans = '{ free: { limits: [{ name: minute, per: tenant, limit: 1000000, window: 1m }] } }';
const services = '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]';
const jwt = 'jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET }, trusted_proxies: [127.0.0.0/8]';

let upstream: TestUpstream;
let gateway: TestGateway;
let address: string;

beforeAll(async () => {
  upstream = await startUpstream((_request, response) => response.end('{}'));
});
afterAll(() => upstream.close());
beforeEach(() => {
  address = `203.0.${randomInt(256)}.${randomInt(256)}`;
});
afterEach(() => gateway.close());

async function start(identity = jwt, more: Readonly<Record<string, string>> = {}): Promise<void> {
  const policy = { identity: `{ ${identity} }`, plans, services, ...more };
  gateway = await startGateway({ policy, upstream: upstream.url });
}

type Headers = Record<string, string>;

const bearer = (token: string): Headers => ({ authorization: `Bearer ${token}` });
const garbage = (): Headers => bearer(randomBytes(16).toString('hex'));

function call(headers: Headers, from = address, url = gateway.proxyUrl): Promise<Response> {
  return fetch(url, { headers: { 'x-forwarded-for': from, ...headers } });
}

/** Makes `count` calls, at most 40 at the same time. Resolves with the number of responses by status. */
async function flood(count: number, one: () => Promise<Response>): Promise<Record<number, number>> {
  const tally: Record<number, number> = {};
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const response = await one();
      await response.arrayBuffer();
      tally[response.status] = (tally[response.status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: 40 }, worker));
  return tally;
}

async function metric(pattern: RegExp): Promise<number> {
  return Number(pattern.exec(await gateway.registry.metrics())?.[1] ?? 0);
}

describe('an address that sends bad credentials', () => {
  test('may send 60 a minute; further ones are a 429 with a Retry-After, and its plan is untouched', async () => {
    await start();
    expect(await flood(200, () => call(garbage()))).toEqual({ 401: 60, 429: 140 });
    const response = await call(garbage());
    expect(response.status).toBe(429);
    const seconds = Number(response.headers.get('retry-after'));
    expect(seconds).toBeGreaterThanOrEqual(1);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-ratelimit-limit': '60',
      'x-ratelimit-remaining': '0',
      'ratelimit-policy': '"unauthenticated";q=60;w=60',
    });
    expect(await response.json()).toMatchObject({
      status: 429,
      title: 'Too many requests',
      detail: expect.stringMatching(/60 bad credentials per 1 minute allowed for this address/) as string,
      'violated-policies': ['unauthenticated'],
      limit: 60,
      window_seconds: 60,
      remaining: 0,
      retry_after_seconds: seconds,
    });
    const plain = await call({});
    expect(plain.status).toBe(200);
    expect(plain.headers.get('x-ratelimit-remaining')).toBe('999999');
  });

  test('locks out no other caller: good tokens, keys and service tokens from it work all the time', async () => {
    await start();
    const key = uniqueName('tgk_');
    const record = { tenant_id: 'keyed', api_keys_sha256: [hashApiKey(key)], updated_at: '', updated_by: '' };
    gateway.records.set('keyed', record);
    const noise = flood(1_500, () => call(garbage()));
    const good = await flood(200, async () => {
      const kinds = [
        bearer(await tokenOf({ tenant_id: uniqueName('nat') })),
        { 'x-api-key': key },
        { 'x-service-token': serviceToken },
        {},
      ];
      return call(kinds[randomInt(kinds.length)] ?? {});
    });
    expect(good).toEqual({ 200: 200 });
    expect((await noise)[429]).toBeGreaterThan(1_400);
  });

  test('is counted apart from other addresses, and an IPv6 network of 64 bits is one address', async () => {
    await start();
    await flood(80, () => call(garbage()));
    expect((await call(garbage(), '198.51.100.7')).status).toBe(401);
    const network = `2001:db8:${randomInt(1, 0xffff).toString(16)}:1`;
    const everywhere = await flood(100, () =>
      call(garbage(), `${network}::${randomInt(1, 0xffff).toString(16)}`),
    );
    expect(everywhere).toEqual({ 401: 60, 429: 40 });
  });

  test('is examined again when the Retry-After has passed, exactly', async () => {
    await start(`${jwt}, refused: { limit: 3, window: 2s }`);
    await flood(6, () => call(garbage()));
    const refused = await call(garbage());
    const untilMs = performance.now() + Number(refused.headers.get('retry-after')) * 1000;
    expect(refused.status).toBe(429);
    await eventually(() => performance.now() >= untilMs, { intervalMs: 5 });
    expect((await call(garbage())).status).toBe(401);
  });

  test('is charged on every entrypoint of the api listener too, also for missing credentials where they are needed', async () => {
    await start(`${jwt}, refused: { limit: 5, window: 1m }`);
    const api = (path: string, headers: Headers) => call(headers, address, gateway.apiUrl + path);
    const calls = [
      () => api('/v1/usage', garbage()),
      () => api('/v1/limits', {}),
      () => api('/v1/authz', { ...garbage(), 'x-original-uri': '/', 'x-original-method': 'GET' }),
      () => api('/v1/decisions/x', { 'x-api-key': 'tgk_none' }),
      () => call({ 'x-service-token': 'none' }),
    ];
    for (const one of calls) expect((await one()).status).toBe(401);
    for (const one of calls) {
      const response = await one();
      expect(response.status).toBe(429);
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(response.headers.get('x-ratelimit-limit')).toBe('5');
      expect(await response.json()).toMatchObject({ 'violated-policies': ['unauthenticated'] });
    }
    expect((await api('/v1/limits', bearer(await tokenOf({ tenant_id: 'fine' })))).status).toBe(200);
  });

  test('without credentials is charged where the policy rejects anonymous callers', async () => {
    await start(`${jwt}, anonymous: reject, refused: { limit: 4, window: 1m }`);
    expect(await flood(20, () => call({}))).toEqual({ 401: 4, 429: 16 });
    expect((await call(bearer(await tokenOf({ tenant_id: 'fine' })))).status).toBe(200);
  });

  test('gets a 401 without a limit while the policy is in shadow mode', async () => {
    await start(`${jwt}, refused: { limit: 4, window: 1m }`, { mode: 'shadow' });
    expect(await flood(20, () => call(garbage()))).toEqual({ 401: 20 });
  });
});

describe('public keys', () => {
  let issuer: Issuer;
  beforeEach(async () => {
    issuer = await startIssuer();
    await issuer.addKey('a');
    await start(`jwt: { algorithms: [ES256], jwks_url: "${issuer.url}" }, trusted_proxies: [127.0.0.0/8]`);
  });
  afterEach(() => issuer.close());

  const exp = Math.floor(Date.now() / 1000) + 600;
  const good = (tenant: string): Promise<string> => issuer.sign('a', { tenant_id: tenant, exp });
  /** A token of the tenant with an invented signature. */
  async function forged(tenant: string): Promise<Headers> {
    const token = await good(tenant);
    return bearer(token.slice(0, token.lastIndexOf('.') + 1) + randomBytes(64).toString('base64url'));
  }
  const invalid = (): Promise<number> =>
    metric(/^tollgate_token_verifications_total\{result="invalid"\} (\d+)$/m);

  test('a flood of forgeries costs few signatures, and good tokens of others get in the first time', async () => {
    const startedAt = performance.now();
    const tally = await flood(1_000, () => forged('victim').then((headers) => call(headers)));
    const seconds = Math.ceil((performance.now() - startedAt) / 1000) + 1;
    expect(Object.keys(tally).map(Number)).toEqual([401, 429]);
    // At most the sum of the limit of 60, the 40 requests in flight when the limit was reached, and the verifications
    // that are still allowed each second for the same claims.
    expect(await invalid()).toBeLessThanOrEqual(60 + 40 + 2 * seconds + seconds);
    for (const tenant of ['ada', 'bob', 'eve'])
      expect((await call(bearer(await good(tenant)))).status).toBe(200);
  });

  test('forgeries with new claims each cost at most fifty signatures a second, and good tokens get in', async () => {
    const startedAt = performance.now();
    await flood(1_000, () => forged(uniqueName('claim')).then((headers) => call(headers)));
    const seconds = Math.ceil((performance.now() - startedAt) / 1000) + 1;
    const checked = await invalid();
    expect(checked).toBeGreaterThan(0);
    expect(checked).toBeLessThanOrEqual(60 + 40 + 51 * seconds);
    const response = await call(bearer(await good('patient')));
    if (response.status === 429) expect(response.headers.get('retry-after')).toBe('1');
    await eventually(async () => (await call(bearer(await good('patient')))).status === 200);
  });

  test('a token verified before works whatever its address sends, and a repeated bad token costs no signature', async () => {
    const seen = bearer(await good('seen'));
    expect((await call(seen)).status).toBe(200);
    const bad = await forged('loop');
    const noise = flood(500, () => call(bad));
    expect(await flood(100, () => call(seen))).toEqual({ 200: 100 });
    await noise;
    // Only requests that arrived before the first verification completed were verified.
    const checked = await invalid();
    expect(checked).toBeGreaterThan(0);
    expect(checked).toBeLessThanOrEqual(40);
  });
});

describe('events of refused credentials', () => {
  test('are sampled beyond the limit with a weight; weights add up, and counters are exact', async () => {
    await start();
    const total = 6_000;
    await flood(total, () => call(garbage()));
    const events = gateway.requests().filter(({ data }) => data.client_ip === address);
    const full = events.filter(({ data }) => data.sample_weight === undefined);
    expect(full.map(({ data }) => data.status).every((status) => status === 401)).toBe(true);
    expect(full.length).toBeLessThanOrEqual(60);
    const sampled = events.filter(({ data }) => data.sample_weight !== undefined);
    expect(new Set(sampled.map(({ data }) => data.sample_weight))).toEqual(new Set([100]));
    expect(sampled[0]?.data).toMatchObject({ decision: 'limited', limited_by: ['unauthenticated'] });
    // 60 sampled events of 5,940 are expected; a number outside these bounds occurs in one run in a million.
    expect(sampled.length).toBeGreaterThan(22);
    expect(sampled.length).toBeLessThan(103);
    expect(events.length + (await metric(/^tollgate_events_sampled_out_total (\d+)$/m))).toBe(total);
    expect(
      await metric(
        /^tollgate_checks_total\{decision="limited",plan="free",limit="unauthenticated"\} (\d+)$/m,
      ),
    ).toBe(total);
    expect(await metric(/^tollgate_credentials_refused_total\{status="401"\} (\d+)$/m)).toBe(60);
    expect(await metric(/^tollgate_credentials_refused_total\{status="429"\} (\d+)$/m)).toBe(total - 60);
  });

  test('are sampled on a node that refuses many addresses at once, each of them within its limit', async () => {
    await start();
    const addresses = Array.from({ length: 1_500 }, (_, index) => `198.18.${index >> 8}.${index & 255}`);
    const startedAt = performance.now();
    const tally = await flood(1_500, () => call(garbage(), addresses.pop()));
    const seconds = Math.ceil((performance.now() - startedAt) / 1000) + 1;
    expect(tally).toEqual({ 401: 1_500 });
    const events = gateway.requests();
    expect(events.filter(({ data }) => data.sample_weight === undefined).length).toBeLessThanOrEqual(
      50 * seconds,
    );
    expect(events.length + (await metric(/^tollgate_events_sampled_out_total (\d+)$/m))).toBe(1_500);
  });

  test('of good credentials are all written, also during a flood', async () => {
    await start();
    const noise = flood(2_000, () => call(garbage()));
    const tenant = uniqueName('whole');
    const token = await tokenOf({ tenant_id: tenant });
    await flood(100, () => call(bearer(token)));
    await noise;
    expect(gateway.requests().filter(({ subject }) => subject === tenant)).toHaveLength(100);
  });
});

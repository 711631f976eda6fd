import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashApiKey } from '../../../../shared/identity/api-keys.ts';
import { uniqueName } from '../../../support/servers.ts';
import { as, serviceToken } from '../gateway.ts';
import { addresses, openEntrypoints } from './entrypoints.ts';
import type { Entrypoints, Observed, Step } from './entrypoints.ts';

/**
 * Every entrypoint receives the same sequence of requests, for tenants of its own, and must return the same decisions.
 */
const policy = {
  plans: `
  free: { limits: [{ name: minute, per: tenant, limit: 6, window: 1m, burst: 2 }, { name: day, per: tenant, limit: 9, window: 1d, type: quota }] }
  pro: { limits: [{ name: minute, per: tenant, limit: 12, window: 1m }] }`,
  routes: `
  - { match: POST /chat, limits: [{ name: chat, per: user, limit: 3, window: 1m }] }
  - { match: "* /heavy/*", cost: 4 }
  - { match: GET /watched/**, limits: [{ name: watched, per: [tenant, user], limit: 1, window: 1m, mode: shadow }] }
  - { match: GET /impossible, cost: 100 }`,
  exempt: '{ addresses: [198.51.100.0/24], routes: [GET /healthz, GET /probes/**] }',
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
};

let opened: Entrypoints;
beforeAll(async () => {
  opened = await openEntrypoints(policy);
});
afterAll(() => opened.close());

const step: fc.Arbitrary<Step> = fc.record({
  tenant: fc.constantFrom('a', 'a', 'a', 'b', 'blocked'),
  user: fc.constantFrom('u1', 'u2'),
  plan: fc.constantFrom('free', 'free', 'free', 'pro'),
  request: fc.constantFrom<[string, string][]>(
    ['GET', '/'],
    ['POST', '/chat'],
    ['PUT', '/heavy/x'],
    ['GET', '/watched/a/b'],
    ['GET', '/impossible'],
    ['POST', '/%63hat?q=1'],
    ['GET', '/healthz'],
  ),
  address: fc.constantFrom(
    addresses.limited,
    addresses.limited,
    addresses.limited,
    addresses.limited,
    addresses.exempt,
  ),
});

const firstStep: Step = {
  tenant: 'a',
  user: 'u1',
  plan: 'free',
  request: ['GET', '/'],
  address: addresses.limited,
};

describe('one enforcer behind every entrypoint', () => {
  test('the same sequence of requests is decided the same through proxy, plugin, middleware, check, authz and rls', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 14 }), async (steps) => {
        const name = uniqueName('run');
        const transcripts = await Promise.all(
          Object.entries(opened.send).map(async ([entrypoint, send]) => {
            const blocked = `${name}-${entrypoint}-blocked`;
            opened.gateway.records.set(blocked, {
              tenant_id: blocked,
              block: { until: null, reason: '', actor: 'ops' },
              updated_at: '',
              updated_by: '',
            });
            const transcript: Observed[] = [];
            for (const one of steps) transcript.push(await send(`${name}-${entrypoint}-${one.tenant}`, one));
            return transcript;
          }),
        );
        const [first, ...others] = transcripts;
        for (const other of others) expect(other).toEqual(first);
      }),
      { numRuns: 12, seed: 20_261_121, endOnFailure: true },
    );
  });

  test('events of every entrypoint differ in the field entrypoint only', () => {
    const byEntrypoint = Map.groupBy(opened.gateway.requests(), ({ data }) => data.entrypoint);
    const outcomes = (entrypoint: string): string[] =>
      (byEntrypoint.get(entrypoint) ?? [])
        .map(({ data }) =>
          [data.decision, data.limited_by, data.route, data.plan, data.units, data.user_id].join(' '),
        )
        .sort();
    for (const entrypoint of Object.keys(opened.send))
      expect(outcomes(entrypoint)).toEqual(outcomes('proxy'));
    expect(outcomes('proxy').length).toBeGreaterThan(90);
  });
});

describe('the scope of an API key', () => {
  test('F2: a request outside of it is a 403 that names the scope, and consumes nothing', async () => {
    const tenant = uniqueName('scoped');
    const key = `tgk_${tenant}`;
    const scope = { permissions: ['requests'], routes: ['GET /open/**'] };
    opened.gateway.records.set(tenant, {
      tenant_id: tenant,
      api_keys: [{ sha256: hashApiKey(key), scope }],
      updated_at: '',
      updated_by: '',
    });
    const { proxyUrl, apiUrl } = opened.gateway;
    const headers = { 'x-api-key': key };
    const authz = (path: string): string => `${apiUrl}/v1/ext-authz${path}`;
    for (const url of [(path: string) => proxyUrl + path, authz]) {
      expect((await fetch(url('/open/a'), { headers })).status).toBe(200);
      const refused = await fetch(url('/chat'), { method: 'POST', headers });
      expect(refused.status).toBe(403);
      expect(refused.headers.get('x-ratelimit-limit')).not.toBeNull();
      expect(await refused.json()).toMatchObject({
        scope,
        detail: expect.stringContaining('the key may do: requests (GET /open/**)') as string,
      });
    }
    const check = await fetch(`${apiUrl}/v1/check`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ method: 'POST', path: '/chat' }),
    });
    expect(await check.json()).toMatchObject({ allowed: false, problem: { status: 403, scope } });
    const events = opened.gateway.requests().filter(({ subject }) => subject === tenant);
    const refusal = '403 limited out_of_scope';
    expect(
      events.map(({ data }) => `${data.status} ${data.decision} ${data.limited_by.join()}`.trim()),
    ).toEqual(['200 allowed', refusal, '200 allowed', refusal, refusal]);
    for (const { data } of events) expect(data.api_key).toBe(hashApiKey(key).slice(0, 12));
    const left = await fetch(`${proxyUrl}/open/a`, { headers });
    expect(left.headers.get('x-ratelimit-remaining')).toBe('3');
  });

  test('each call of the API listener needs its permission, and a service acts for the tenant without one', async () => {
    const tenant = uniqueName('scoped');
    const calls = {
      usage: ['GET', '/v1/usage'],
      requests: ['POST', '/v1/sessions'],
      events: ['POST', '/v1/events'],
    } as const;
    const permissions = ['usage', 'requests', 'events', 'manage'];
    opened.gateway.records.set(tenant, {
      tenant_id: tenant,
      api_keys: permissions.map((name) => ({
        sha256: hashApiKey(`tgk_${tenant}${name}`),
        scope: { permissions: [name] },
      })),
      updated_at: '',
      updated_by: '',
    });
    for (const name of permissions)
      for (const [needed, [method, path]] of Object.entries(calls)) {
        const headers = { 'x-api-key': `tgk_${tenant}${name}` };
        const status = async (more: Record<string, string>): Promise<number> =>
          (await fetch(opened.gateway.apiUrl + path, { method, headers: { ...headers, ...more } })).status;
        expect([name, needed, (await status({})) === 403]).toEqual([name, needed, name !== needed]);
        expect(await status({ 'x-service-token': serviceToken })).not.toBe(403);
      }
  });
});

describe('exempt requests', () => {
  test.each<[string, Partial<Step>]>([
    ['route', { request: ['GET', '/healthz'] }],
    ['address', { address: addresses.exempt }],
  ])(
    'F3: an exempt %s consumes no units at any entrypoint, and its events have none',
    async (_kind, exempt) => {
      for (const [entrypoint, send] of Object.entries(opened.send)) {
        const tenant = uniqueName('exempt');
        for (let count = 0; count < 12; count += 1)
          expect(await send(tenant, { ...firstStep, ...exempt }), entrypoint).toMatchObject({ passed: true });
        expect(await send(tenant, firstStep), entrypoint).toMatchObject({ passed: true, remaining: '5' });
        const events = opened.gateway.requests().filter(({ subject }) => subject === tenant);
        expect(events.map(({ data }) => `${data.decision} ${data.units}`)).toEqual([
          ...Array.from({ length: 12 }, () => 'bypassed 0'),
          'allowed 1',
        ]);
      }
    },
  );

  test('F6: a block holds on exempt routes and addresses', async () => {
    const tenant = uniqueName('exempt-blocked');
    const block = { until: null, reason: '', actor: 'ops' };
    opened.gateway.records.set(tenant, { tenant_id: tenant, block, updated_at: '', updated_by: '' });
    const request: Step['request'] = ['GET', '/healthz'];
    for (const send of Object.values(opened.send))
      expect((await send(tenant, { ...firstStep, request, address: addresses.exempt })).passed).toBe(false);
  });

  test('a check without the address of its client is not exempt because of the address of the application', async () => {
    const tenant = uniqueName('exempt-check');
    const check = async (headers: Record<string, string>, path: string): Promise<unknown> => {
      const response = await fetch(`${opened.gateway.apiUrl}/v1/check`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json', 'x-forwarded-for': addresses.exempt },
        body: JSON.stringify({ tenant_id: tenant, method: 'GET', path }),
      });
      return ((await response.json()) as { outcome: string }).outcome;
    };
    for (const headers of [{ 'x-service-token': serviceToken }, await as(tenant)]) {
      expect(await check(headers, '/')).toBe('allowed');
      expect(await check(headers, '/healthz')).toBe('bypassed');
    }
  });

  test('GET /v1/usage from an exempt address states the used units', async () => {
    const tenant = uniqueName('exempt-usage');
    await opened.send['proxy']?.(tenant, firstStep);
    const headers = { ...(await as(tenant)), 'x-forwarded-for': addresses.exempt };
    const usage = (await (await fetch(`${opened.gateway.apiUrl}/v1/usage`, { headers })).json()) as {
      limits: { name: string; remaining: number }[];
    };
    expect(usage.limits[0]).toMatchObject({ name: 'minute', remaining: 5 });
  });

  test('negative hits of Envoy for an exempt request return no units of other requests', async () => {
    const tenant = uniqueName('exempt-returns');
    for (let count = 0; count < 3; count += 1) await opened.send['rls']?.(tenant, firstStep);
    const entries = Object.entries({ tenant_id: tenant, method: 'GET', path: '/healthz' });
    await opened.rlsClient.shouldRateLimit({
      domain: 'api',
      descriptors: [
        {
          entries: entries.map(([key, value]) => ({ key, value })),
          hits_addend: { value: 2 },
          is_negative_hits: true,
        },
      ],
    });
    expect((await opened.send['rls']?.(tenant, firstStep))?.remaining).toBe('2');
  });
});

describe('Envoy', () => {
  test('every descriptor of a call has a status; hits_addend is the cost', async () => {
    const tenant = uniqueName('envoy');
    const entries = [[{ key: 'tenant', value: tenant }], [{ key: 'path', value: '/' }]].map((list) => ({
      entries: list,
    }));
    const response = await opened.rlsClient.shouldRateLimit({
      domain: 'api',
      descriptors: entries,
      hits_addend: 5,
    });
    expect(response).toMatchObject({
      overall_code: 'OK',
      statuses: [
        {
          code: 'OK',
          limit_remaining: 1,
          current_limit: { name: 'minute', requests_per_unit: 6, unit: 'MINUTE' },
        },
        { code: 'OK' },
      ],
    });
  });

  test('a call without a tenant, a user or an address is an error and not allowed', async () => {
    await expect(
      opened.rlsClient.shouldRateLimit({
        domain: 'api',
        descriptors: [{ entries: [{ key: 'path', value: '/' }] }],
      }),
    ).rejects.toThrow(/INVALID_ARGUMENT/);
    const long = { entries: [{ key: 'tenant', value: 'x'.repeat(300) }] };
    await expect(opened.rlsClient.shouldRateLimit({ domain: 'api', descriptors: [long] })).rejects.toThrow(
      /longer than 256/,
    );
  });
});

import { createHash, randomInt } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { uniqueName } from '../../../support/servers.ts';
import { service, useApi } from '../api.ts';
import type { Answer } from '../api.ts';
import { as, tokenOf } from '../gateway.ts';

const api = useApi();
const chat = { method: 'POST', path: '/agent/chat' };

type Headers = Record<string, string>;
type Credential = 'tenant key' | 'user token' | 'tenant token' | 'token without tenant' | 'service';

let joe: string;
let ann: string;
let other: string;
let headers: Record<Credential, Headers>;

beforeEach(async () => {
  [joe, ann, other] = [uniqueName('joe'), uniqueName('ann'), uniqueName('other')];
  const key = `tgk_${api.tenant}`;
  api.gateway.records.set(api.tenant, {
    tenant_id: api.tenant,
    api_keys_sha256: [createHash('sha256').update(key).digest('hex')],
    updated_at: '',
    updated_by: '',
  });
  const bearer = async (claims: object): Promise<Headers> => ({
    authorization: `Bearer ${await tokenOf({ ...claims })}`,
  });
  headers = {
    'tenant key': { 'x-api-key': key },
    'user token': await as(api.tenant, { sub: joe }),
    'tenant token': await bearer({ tenant_id: api.tenant }),
    'token without tenant': await bearer({ sub: joe }),
    service,
  };
});

const fields: Readonly<Record<string, () => object>> = {
  'its own user': () => ({ user: joe }),
  'another user': () => ({ user: ann }),
  'its own tenant': () => ({ tenant_id: api.tenant }),
  'another tenant': () => ({ tenant_id: other }),
  'an address': () => ({ ip: `203.0.113.${randomInt(1, 255)}` }),
  'an address of IPv6': () => ({ ip: `2001:db8:${randomInt(1, 0xffff).toString(16)}::1` }),
  'a plan': () => ({ plan: 'pro' }),
  'null in each optional field': () => ({
    tenant_id: null,
    user: null,
    ip: null,
    plan: null,
    cost: null,
    peek: null,
  }),
  'another user and its own tenant': () => ({ user: ann, tenant_id: api.tenant }),
  nothing: () => ({}),
};

/** Expected status of `POST /v1/check` for each credential with each set of fields above. */
const table: readonly (readonly [Credential, string, number])[] = [
  ['tenant key', 'its own user', 200],
  ['tenant key', 'another user', 200],
  ['tenant key', 'its own tenant', 200],
  ['tenant key', 'another tenant', 403],
  ['tenant key', 'an address', 403],
  ['tenant key', 'an address of IPv6', 403],
  ['tenant key', 'a plan', 403],
  ['tenant key', 'null in each optional field', 200],
  ['tenant key', 'another user and its own tenant', 200],
  ['tenant key', 'nothing', 200],
  ['user token', 'its own user', 200],
  ['user token', 'another user', 403],
  ['user token', 'its own tenant', 200],
  ['user token', 'another tenant', 403],
  ['user token', 'an address', 403],
  ['user token', 'an address of IPv6', 403],
  ['user token', 'a plan', 403],
  ['user token', 'null in each optional field', 200],
  ['user token', 'another user and its own tenant', 403],
  ['user token', 'nothing', 200],
  ['tenant token', 'its own user', 200],
  ['tenant token', 'another user', 200],
  ['tenant token', 'its own tenant', 200],
  ['tenant token', 'another tenant', 403],
  ['tenant token', 'an address', 403],
  ['tenant token', 'an address of IPv6', 403],
  ['tenant token', 'a plan', 403],
  ['tenant token', 'null in each optional field', 200],
  ['tenant token', 'another user and its own tenant', 200],
  ['tenant token', 'nothing', 200],
  ['token without tenant', 'its own user', 200],
  ['token without tenant', 'another user', 403],
  ['token without tenant', 'its own tenant', 403],
  ['token without tenant', 'another tenant', 403],
  ['token without tenant', 'an address', 403],
  ['token without tenant', 'an address of IPv6', 403],
  ['token without tenant', 'a plan', 403],
  ['token without tenant', 'null in each optional field', 200],
  ['token without tenant', 'another user and its own tenant', 403],
  ['token without tenant', 'nothing', 200],
  ['service', 'its own user', 200],
  ['service', 'another user', 200],
  ['service', 'its own tenant', 200],
  ['service', 'another tenant', 200],
  ['service', 'an address', 200],
  ['service', 'an address of IPv6', 200],
  ['service', 'a plan', 400],
  ['service', 'null in each optional field', 400],
  ['service', 'another user and its own tenant', 200],
  ['service', 'nothing', 400],
];

describe('C2: POST /v1/check spends only what is the caller’s own', () => {
  test('the table has every credential with every field', () => {
    expect(table).toHaveLength(5 * Object.keys(fields).length);
  });

  test.each(table)('%s with %s: %i', async (credential, field, status) => {
    const answer = await api.check(headers[credential], { ...chat, ...fields[field]?.() });
    expect(answer.status).toBe(status);
    if (status !== 200) expect(answer.json['detail']).toMatch(/\S/);
    expect(api.gateway.events).toHaveLength(status === 200 ? 1 : 0);
  });

  test('a refused request consumes nothing of the address, the user or the tenant that it names', async () => {
    const ip = `203.0.113.${randomInt(1, 255)}`;
    const [key, token, stray] = [
      headers['tenant key'],
      headers['user token'],
      headers['token without tenant'],
    ];
    const victims: readonly (readonly [Headers, object])[] = [
      [key, { ip, cost: 3 }],
      [token, { user: ann, cost: 3 }],
      [stray, { user: ann, cost: 3 }],
    ];
    for (const [credential, body] of victims)
      expect((await api.check(credential, { ...chat, ...body })).status).toBe(403);
    for (const body of [{ ip }, { user: ann }, { user: ann, tenant_id: api.tenant }])
      expect((await api.check(service, { ...chat, ...body })).json).toMatchObject({ allowed: true });
  });

  test('a user of one tenant shares no limit with a user of the same id in another tenant', async () => {
    const spend = (fields: object): Promise<Answer> =>
      api.check(service, { ...chat, user: joe, cost: 3, ...fields });
    expect((await spend({ tenant_id: api.tenant })).json['allowed']).toBe(true);
    expect((await spend({ tenant_id: other })).json['allowed']).toBe(true);
    expect((await spend({})).json['allowed']).toBe(true);
    expect((await spend({ tenant_id: api.tenant })).json['allowed']).toBe(false);
  });
});

describe('C2: on the other routes a caller may name no more than that', () => {
  const named: readonly (readonly [Credential, 'joe' | 'ann', boolean])[] = [
    ['tenant key', 'ann', true],
    ['user token', 'joe', true],
    ['user token', 'ann', false],
    ['tenant token', 'ann', true],
    ['service', 'ann', true],
  ];

  test.each(named)('sessions: %s opens one of %s: %s', async (credential, user, allowed) => {
    const body = {
      user: user === 'joe' ? joe : ann,
      ...(credential === 'service' ? { tenant_id: api.tenant } : {}),
    };
    const query = new URLSearchParams(body).toString();
    expect((await api.call('POST', '/v1/sessions', headers[credential], body)).status).toBe(
      allowed ? 201 : 403,
    );
    for (const method of ['PUT', 'DELETE'])
      expect((await api.call(method, `/v1/sessions/one?${query}`, headers[credential])).status).toBe(
        allowed ? (method === 'PUT' ? 404 : 204) : 403,
      );
  });

  test.each(named)('events: %s publishes usage of %s: %s', async (credential, user, allowed) => {
    const event = {
      specversion: '1.0',
      id: uniqueName('event'),
      source: '/app',
      type: 'tokens',
      subject: api.tenant,
      data: { units: 5, user_id: user === 'joe' ? joe : ann },
    };
    const answer = await api.call(
      'POST',
      '/v1/events',
      headers[credential],
      event,
      'application/cloudevents+json',
    );
    expect(answer.status).toBe(allowed ? 202 : 400);
    expect(api.gateway.events).toHaveLength(allowed ? 1 : 0);
  });
});

describe('F2: limits per API key and per attribute', () => {
  const list = { method: 'GET', path: '/agent/list' };
  const plans = `{ free: { limits: [{ name: key, per: key, limit: 3, window: 1m }, { name: agent, per: [tenant, agent], limit: 2, window: 1m }] } }`;
  beforeAll(() =>
    api.gateway.usePolicy({ ...api.policy, plans, attributes: '{ agent: { header: x-agent } }' }),
  );
  afterAll(() => api.gateway.usePolicy(api.policy));
  const remainingOf = ({ json }: Answer): unknown =>
    (json['limits'] as { remaining: number }[]).map(({ remaining }) => remaining);

  test('each key of a tenant and each value of an attribute has a counter of its own', async () => {
    const keys = ['a', 'b'].map((name) => `tgk_${name}_${api.tenant}`);
    api.gateway.records.set(api.tenant, {
      tenant_id: api.tenant,
      api_keys_sha256: keys.map((key) => createHash('sha256').update(key).digest('hex')),
      updated_at: '',
      updated_by: '',
    });
    const [a = {}, b = {}] = keys.map((key): Headers => ({ 'x-api-key': key }));
    expect(remainingOf(await api.check(a, list))).toEqual([2, 1]);
    expect(remainingOf(await api.check(a, list))).toEqual([1, 0]);
    expect(remainingOf(await api.check(b, { ...list, peek: true }))).toEqual([3, 0]);
    const named = { ...list, tenant_id: api.tenant, attributes: { agent: 'bot' } };
    expect(remainingOf(await api.check(service, named))).toEqual([2, 1]);
    expect(remainingOf(await api.check(service, named))).toEqual([1, 0]);
    const refused = await api.check(service, named);
    expect(refused.json).toMatchObject({ allowed: false, limited_by: ['agent'] });
    expect((refused.json['problem'] as { detail: string }).detail).toContain('allowed for this agent');
  });

  test('the header of a request that a proxy forwards to authz has the attribute', async () => {
    const remaining = async (agent: string): Promise<string | null> => {
      const original = { 'x-original-method': 'GET', 'x-original-url': '/x', 'x-agent': agent };
      const answer = await api.call('GET', '/v1/authz', { ...(await as(api.tenant)), ...original });
      return answer.response.headers.get('x-ratelimit-remaining');
    };
    expect([await remaining('one'), await remaining('one'), await remaining('two')]).toEqual(['1', '0', '0']);
  });

  test('a tenant cannot choose its attributes in a check', async () => {
    const { status, json } = await api.check(await as(api.tenant), { ...list, attributes: { agent: 'x' } });
    expect([status, json['detail']]).toEqual([403, expect.stringContaining('attributes are for services')]);
  });
});

describe('F2: groups of tenants', () => {
  const groups = '{ "*": { limits: [{ name: together, per: group, limit: 3, window: 1m }] } }';
  const plans = '{ free: { limits: [{ name: minute, per: tenant, limit: 2, window: 1m }] } }';
  const list = { method: 'GET', path: '/agent/list' };
  beforeAll(() => api.gateway.usePolicy({ ...api.policy, plans, groups }));
  afterAll(() => api.gateway.usePolicy(api.policy));

  test('tenants share the limits of their group, above their own; one check decides both', async () => {
    const group = uniqueName('org');
    const record = (tenantId: string): void =>
      void api.gateway.records.set(tenantId, {
        ...{ tenant_id: tenantId, group, overrides: { together: 900 }, updated_at: '', updated_by: '' },
      });
    for (const tenant of [api.tenant, other]) record(tenant);
    const check = async (tenant: string): Promise<unknown> =>
      (await api.check(service, { ...list, tenant_id: tenant })).json['limited_by'];
    expect([await check(api.tenant), await check(api.tenant), await check(api.tenant)]).toEqual([
      [],
      [],
      ['minute'],
    ]);
    expect([await check(other), await check(other)]).toEqual([[], ['together']]);
    expect(await check(uniqueName('alone')), 'a tenant without a group has no limit of groups').toEqual([]);
  });
});

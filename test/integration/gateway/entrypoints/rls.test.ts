import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { listenEnvoy } from '../../../../services/gateway/listeners/rls-listener.ts';
import type { EnvoyServer } from '../../../../services/gateway/listeners/rls-listener.ts';
import { storedTimeBounds } from '../../../../shared/domain/events/bounds.ts';
import { readEvent } from '../../../../shared/domain/events/read-event.ts';
import { uniqueName } from '../../../support/servers.ts';
import { startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';
import { described, rateLimitClient } from './rls-client.ts';
import type { CallResult, RateLimitClient } from './rls-client.ts';

let gateway: TestGateway;
let rls: EnvoyServer;
let client: RateLimitClient;
let tenant: string;

beforeAll(async () => {
  gateway = await startGateway({
    policy: { plans: '\n  free: { limits: [{ name: minute, per: tenant, limit: 10, window: 1m }] }' },
  });
  rls = await listenEnvoy({
    enforcer: gateway.enforcer,
    host: '127.0.0.1',
    port: 0,
    rateLimitWaitMsMax: 3_000,
  });
  client = rateLimitClient(rls.port);
});

afterAll(async () => {
  client.close();
  await rls.close();
  await gateway.close();
});

beforeEach(() => {
  tenant = uniqueName('acme');
  gateway.events.length = 0;
});

function call(...descriptors: readonly object[]): Promise<CallResult> {
  return callWith({ descriptors });
}

function callWith(request: object): Promise<CallResult> {
  return client.call(request);
}

/** Remaining units, read without a charge. */
async function remaining(of: string): Promise<number> {
  const answer = await call(described({ tenant_id: of }, { hits_addend: { value: 0 } }));
  return answer.statuses[0]?.limit_remaining ?? -1;
}

test('hits of a descriptor have precedence over hits of the call', async () => {
  await callWith({
    hits_addend: 2,
    descriptors: [described({ tenant_id: tenant }, { hits_addend: { value: 7 } })],
  });
  expect(await remaining(tenant)).toBe(3);
  await callWith({ hits_addend: 2, descriptors: [described({ tenant_id: tenant })] });
  expect(await remaining(tenant)).toBe(1);
});

test('hits of 0 consume nothing, and their refusal is recorded', async () => {
  const check = described({ tenant_id: tenant }, { hits_addend: { value: 0 } });
  for (let round = 0; round < 12; round += 1) expect((await call(check)).overall_code).toBe('OK');
  expect(gateway.events).toEqual([]);
  await call(described({ tenant_id: tenant }, { hits_addend: { value: 10 } }));
  expect((await call(check)).overall_code).toBe('OVER_LIMIT');
  expect(gateway.requests().map(({ data }) => data.decision)).toEqual(['allowed', 'limited']);
});

test('a call that describes two tenants charges both, or neither', async () => {
  const other = uniqueName('globex');
  const both = [
    described({ tenant_id: tenant }, { hits_addend: { value: 4 } }),
    described({ tenant_id: other }, { hits_addend: { value: 6 } }),
  ];
  expect((await call(...both)).overall_code).toBe('OK');
  expect([await remaining(tenant), await remaining(other)]).toEqual([6, 4]);
  const refused = await call(...both);
  expect(refused.overall_code).toBe('OVER_LIMIT');
  expect(refused.statuses.map(({ code }) => code)).toEqual(['OK', 'OVER_LIMIT']);
  expect([await remaining(tenant), await remaining(other)]).toEqual([6, 4]);
  expect(gateway.requests().map(({ subject, data }) => [subject, data.decision])).toEqual([
    [tenant, 'allowed'],
    [other, 'allowed'],
    [other, 'limited'],
  ]);
});

test('negative hits return units and write an event of them', async () => {
  await call(described({ tenant_id: tenant }, { hits_addend: { value: 9 } }));
  expect(await remaining(tenant)).toBe(1);
  const refund = described({ tenant_id: tenant }, { hits_addend: { value: 4 }, is_negative_hits: true });
  expect((await call(refund)).overall_code).toBe('OK');
  expect(await remaining(tenant)).toBe(5);
  const [, event] = gateway.events;
  expect(event).toMatchObject({
    type: 'tollgate.refund.v1',
    subject: tenant,
    data: { units: 4, plan: 'free' },
  });
  const read = readEvent({ ...event }, Date.now(), storedTimeBounds(400));
  expect(read).toMatchObject({ kind: 'meter', fields: { units: -4 } });
});

test('where more units are to be returned than were consumed, the event has the units that were returned', async () => {
  const refund = described({ tenant_id: tenant }, { hits_addend: { value: 1_000 }, is_negative_hits: true });
  await call(described({ tenant_id: tenant }, { hits_addend: { value: 6 } }));
  expect((await call(refund)).overall_code).toBe('OK');
  expect(await remaining(tenant)).toBe(10);
  expect(gateway.events.map(({ type, data }) => [type, (data as { units: number }).units])).toEqual([
    ['tollgate.request.v1', 6],
    ['tollgate.refund.v1', 6],
  ]);
  await call(refund);
  expect(gateway.events).toHaveLength(2);
});

test('a method is a token of HTTP, of its characters and length', async () => {
  const callWithMethod = (method: string): Promise<CallResult> =>
    call(described({ tenant_id: tenant, method }));
  for (const bad of ['GET /x', 'POST\r\n', 'été', '-', '1', 'G'.repeat(33), 'G'.repeat(100_000), '日本'])
    await expect(callWithMethod(bad)).rejects.toMatchObject({
      code: 3,
      details: 'method is not a method of HTTP',
    });
  expect(gateway.events).toEqual([]);
  expect(await remaining(tenant)).toBe(10);
  for (const good of ['GET', 'post', 'M-SEARCH', 'G'.repeat(32)]) await callWithMethod(good);
  expect(gateway.requests().map(({ data }) => data.method)).toEqual([
    'GET',
    'POST',
    'M-SEARCH',
    'G'.repeat(32),
  ]);
});

test('a negative 0 returns nothing', async () => {
  await call(described({ tenant_id: tenant }, { hits_addend: { value: 9 } }));
  const nothing = described({ tenant_id: tenant }, { hits_addend: { value: 0 }, is_negative_hits: true });
  expect((await call(nothing)).overall_code).toBe('OK');
  expect(await remaining(tenant)).toBe(1);
  expect(gateway.events).toHaveLength(1);
});

test('descriptors that do not contradict each other describe one request', async () => {
  await call(
    described({ tenant_id: tenant }),
    described({ path: '/x', method: 'POST' }),
    described({ user: 'ann' }),
  );
  expect(await remaining(tenant)).toBe(9);
  expect(gateway.requests()[0]?.data).toMatchObject({ user_id: 'ann', path: '/x', method: 'POST' });
});

test('the limit of a descriptor replaces the limits of the plan', async () => {
  const limited = described({ tenant_id: tenant }, { limit: { requests_per_unit: 2, unit: 'HOUR' } });
  const codes: string[] = [];
  for (let round = 0; round < 3; round += 1) codes.push((await call(limited)).overall_code);
  expect(codes).toEqual(['OK', 'OK', 'OVER_LIMIT']);
  const [status] = (await call(limited)).statuses;
  expect(status?.current_limit).toMatchObject({ requests_per_unit: 2, unit: 'HOUR' });
  expect(await remaining(tenant)).toBe(10);
});

test.each([
  ['no descriptor', []],
  ['no caller', [{ path: '/x' }]],
  ['an address that is none', [{ remote_address: 'here' }]],
  ['the tenant of callers without one', [{ tenant_id: 'anonymous' }]],
])('a call with %s is refused with a sentence about it', async (_name, entries) => {
  await expect(call(...entries.map((entry) => described(entry)))).rejects.toMatchObject({ code: 3 });
});

test('two values for one key, an unknown unit and too many descriptors are refused', async () => {
  const twice = {
    entries: [
      { key: 'tenant_id', value: tenant },
      { key: 'tenant', value: 'victim' },
    ],
  };
  await expect(call(twice)).rejects.toThrow('two values for tenant_id');
  const timeless = described({ tenant_id: tenant }, { limit: { requests_per_unit: 2, unit: 'UNKNOWN' } });
  await expect(call(timeless)).rejects.toThrow('no unit of time');
  const many = Array.from({ length: 65 }, () => described({ tenant_id: tenant }));
  await expect(call(...many)).rejects.toThrow('64 descriptors');
  expect(await remaining(tenant)).toBe(10);
});

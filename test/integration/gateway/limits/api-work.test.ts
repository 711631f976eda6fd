import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { uniqueName } from '../../../support/servers.ts';
import { as, serviceToken, startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';

const policy = {
  plans: `
  free:
    limits: [{ name: minute, per: tenant, limit: 100, window: 1m }]
    api: { requests: { limit: 5, window: 1m }, events: { limit: 10, window: 1m } }
  pro:
    limits: [{ name: minute, per: tenant, limit: 1000, window: 1m }]`,
  api: '{ requests: { limit: 8, window: 1m } }',
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
  sessions: '{ widget: { per: tenant, limit: 50, ttl: 60s } }',
};

let gateway: TestGateway;
beforeAll(async () => void (gateway = await startGateway({ policy })));
afterAll(() => gateway.close());

async function statusesOf(calls: number, path: string, init: RequestInit): Promise<number[]> {
  const statuses: number[] = [];
  for (let call = 0; call < calls; call += 1) {
    const response = await fetch(gateway.apiUrl + path, init);
    await response.text();
    statuses.push(response.status);
  }
  return statuses;
}

const refusedOf = (statuses: readonly number[]): number => statuses.filter((status) => status === 429).length;

test('F6: every call of a tenant on the api listener is charged, unknown paths included, by its plan', async () => {
  const headers = await as(uniqueName('acme'));
  const paths = [
    '/v1/limits',
    '/v1/meters',
    '/nowhere',
    '/v1/decisions/x',
    '/v1/usage',
    '/v1/limits',
    '/nowhere',
  ];
  const statuses: number[] = [];
  for (const path of paths) statuses.push(...(await statusesOf(1, path, { headers })));
  expect(statuses.slice(0, 5)).not.toContain(429);
  expect(statuses.slice(5)).toEqual([429, 429]);
  const pro = await as(uniqueName('globex'), { plan: 'pro' });
  expect(refusedOf(await statusesOf(10, '/v1/limits', { headers: pro }))).toBe(2);
});

test('F6: a refused call names the limit of the api that refused it, and when to retry', async () => {
  const headers = await as(uniqueName('acme'));
  await statusesOf(5, '/v1/limits', { headers });
  const refused = await fetch(`${gateway.apiUrl}/v1/limits`, { headers });
  expect(refused.status).toBe(429);
  expect(refused.headers.get('x-ratelimit-limit')).toBe('5');
  expect(refused.headers.get('ratelimit-policy')).toBe('"api.requests";q=5;w=60');
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50);
  expect(await refused.json()).toMatchObject({
    status: 429,
    'violated-policies': ['api.requests'],
    limit: 5,
  });
});

test('F6: callers without a tenant are charged by their address', async () => {
  const from = (address: string): RequestInit => ({ headers: { 'x-forwarded-for': address } });
  expect(refusedOf(await statusesOf(7, '/openapi.json', from('203.0.113.50')))).toBe(2);
  expect(refusedOf(await statusesOf(1, '/openapi.json', from('203.0.113.51')))).toBe(0);
});

test('F6: a call for a decision that ends without one is charged, and beyond the limit refused before its body is read', async () => {
  const headers = { ...(await as(uniqueName('acme'))), 'content-type': 'application/json' };
  const check = (body: object): Promise<number[]> =>
    statusesOf(1, '/v1/check', { method: 'POST', headers, body: JSON.stringify(body) });
  const good = { method: 'GET', path: '/' };
  await expect.poll(() => check({ ...good, path: '' })).toEqual([429]);
  expect(await check(good)).toEqual([429]);
  const [other] = await statusesOf(1, '/v1/check', {
    method: 'POST',
    headers: { ...(await as(uniqueName('globex'))), 'content-type': 'application/json' },
    body: JSON.stringify(good),
  });
  expect(other).toBe(200);
});

test('a decision is charged to the limits that it checks, a peek as a call', async () => {
  const headers = { ...(await as(uniqueName('acme'))), 'content-type': 'application/json' };
  const check = (peek: boolean): RequestInit => ({
    method: 'POST',
    headers,
    body: JSON.stringify({ method: 'GET', path: '/x', peek }),
  });
  expect(refusedOf(await statusesOf(10, '/v1/check', check(false)))).toBe(0);
  expect(refusedOf(await statusesOf(7, '/v1/check', check(true)))).toBe(2);
});

test('a DELETE without a body may name a content type', async () => {
  const headers = { ...(await as(uniqueName('acme'))), 'content-type': 'application/json' };
  const plain = await as(uniqueName('acme'));
  const path = '/v1/sessions/none';
  const [status] = await statusesOf(1, path, { method: 'DELETE', headers });
  expect([status]).toEqual(await statusesOf(1, path, { method: 'DELETE', headers: plain }));
});

test('services belong to the operator: their calls are charged to no tenant', async () => {
  const init = { headers: { 'x-service-token': serviceToken } };
  const tenant = uniqueName('acme');
  expect(refusedOf(await statusesOf(12, `/v1/limits?tenant_id=${tenant}`, init))).toBe(0);
});

test.each([
  ['GET', '/v1/usage', undefined],
  ['GET', '/v1/limits', undefined],
  ['GET', '/v1/meters', undefined],
  ['GET', '/v1/decisions/x', undefined],
  ['POST', '/v1/sessions', '{}'],
  ['POST', '/v1/events', '[]'],
  ['DELETE', '/v1/sessions/x', undefined],
])('C3: a block applies to %s %s', async (method, path, body) => {
  const tenant = uniqueName('acme');
  gateway.records.set(tenant, {
    tenant_id: tenant,
    block: { until: null, reason: 'unpaid', actor: 'ann' },
    updated_at: '2026-11-01T00:00:00Z',
    updated_by: 'ann',
  });
  const headers = {
    ...(await as(tenant)),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
  const response = await fetch(gateway.apiUrl + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  expect(response.status).toBe(429);
  expect(await response.json()).toMatchObject({ 'violated-policies': ['blocked'] });
});

function batchOf(tenant: string, events: number, data: object = {}): string {
  const event = (n: number): object => ({
    specversion: '1.0',
    id: `${uniqueName('event')}-${n}`,
    source: 'test',
    type: 'work.done',
    subject: tenant,
    data,
  });
  return JSON.stringify(Array.from({ length: events }, (_, n) => event(n)));
}

function publish(body: string, headers: Record<string, string>): Promise<Response> {
  return fetch(`${gateway.apiUrl}/v1/events`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/cloudevents-batch+json' },
    body,
  });
}

test('F6: events are charged by their number; a batch without room is refused completely and consumes nothing', async () => {
  const tenant = uniqueName('acme');
  const headers = await as(tenant);
  expect((await publish(batchOf(tenant, 8), headers)).status).toBe(202);
  const refused = await publish(batchOf(tenant, 3), headers);
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({ 'violated-policies': ['api.events'], limit: 10 });
  expect((await publish(batchOf(tenant, 2), headers)).status).toBe(202);
  const full = await publish('not even read', headers);
  expect(full.status).toBe(429);
  const other = uniqueName('acme');
  const tooMany = await publish(batchOf(other, 11), await as(other));
  expect(await tooMany.json()).toMatchObject({
    detail: expect.stringContaining('can ever allow') as unknown,
  });
});

test('F6: events are charged by their decoded bytes, and a batch refused for its bytes consumes no events', async () => {
  const tenant = uniqueName('acme');
  const plan =
    '{ limits: [], api: { event_bytes: { limit: 1048576, window: 1m }, events: { limit: 20, window: 1m } } }';
  const limited = await startGateway({ policy: { plans: `\n  free: ${plan}` } });
  const headers = { ...(await as(tenant)), 'content-type': 'application/cloudevents-batch+json' };
  const send = async (events: number, notes: number): Promise<number> => {
    const data = Object.fromEntries(Array.from({ length: notes }, (_, n) => [`note${n}`, 'x'.repeat(4_000)]));
    const batch = batchOf(tenant, events, data);
    const coded = { headers: { ...headers, 'content-encoding': 'gzip' }, body: gzipSync(batch) };
    const init = { method: 'POST', ...(notes > 0 ? coded : { headers, body: batch }) };
    return (await fetch(`${limited.apiUrl}/v1/events`, init)).status;
  };
  try {
    expect(await send(16, 15)).toBe(202);
    expect(await send(4, 60)).toBe(429);
    expect(await send(4, 0)).toBe(202);
    expect(await send(1, 0)).toBe(429);
  } finally {
    await limited.close();
  }
});

test('F6: a body that is read is charged, so that batches that are refused are soon refused unread', async () => {
  const plan =
    '{ limits: [], api: { event_bytes: { limit: 1048576, window: 1m }, events: { limit: 10, window: 1m } } }';
  const limited = await startGateway({ policy: { plans: `\n  free: ${plan}` } });
  const tenant = uniqueName('acme');
  const headers = { ...(await as(tenant)), 'content-type': 'application/cloudevents-batch+json' };
  const body = batchOf(tenant, 100, { note: 'x'.repeat(2_500) });
  const refusedBy: unknown[] = [];
  try {
    for (let call = 0; call < 6; call += 1) {
      const response = await fetch(`${limited.apiUrl}/v1/events`, { method: 'POST', headers, body });
      const problem = (await response.json()) as { 'violated-policies': string[] };
      refusedBy.push(...problem['violated-policies']);
    }
  } finally {
    await limited.close();
  }
  const unread = refusedBy.indexOf('api.event_bytes');
  expect(refusedBy).toHaveLength(6);
  expect(unread).toBeGreaterThan(0);
  expect(refusedBy.slice(unread)).toEqual(Array(6 - unread).fill('api.event_bytes'));
});

test('C2: while Kafka is behind, a publisher whose share of the spool is full gets a 503, and no other publisher does', async () => {
  const behind = await startGateway({
    policy: { services: policy.services },
    spoolRoom: { usedShare: () => 0.2, acknowledged: () => 0, bytesMax: 160_000, diskFailure: () => null },
  });
  try {
    const send = async (tenant: string): Promise<Response> =>
      fetch(`${behind.apiUrl}/v1/events`, {
        method: 'POST',
        headers: { ...(await as(tenant)), 'content-type': 'application/cloudevents-batch+json' },
        body: batchOf(tenant, 10, { note: 'x'.repeat(300) }),
      });
    const [flood, calm] = [uniqueName('flood'), uniqueName('calm')];
    expect((await send(flood)).status).toBe(202);
    expect((await send(flood)).status).toBe(202);
    const refused = await send(flood);
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await send(calm)).status).toBe(202);
    expect(behind.events.filter(({ subject }) => subject === flood)).toHaveLength(20);
  } finally {
    await behind.close();
  }
});

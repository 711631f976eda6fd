import { afterAll, beforeAll, expect, test } from 'vitest';
import { uniqueName } from '../../support/servers.ts';
import { as, serviceToken, startGateway } from './gateway.ts';
import type { TestGateway } from './gateway.ts';

const policy = {
  plans: `
  free:
    limits: [{ name: minute, per: tenant, limit: 100, window: 1m }]
    api: { requests: { limit: 5, window: 1m } }
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

test('F6: a refused call says which limit of the api it met, and when to come back', async () => {
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

test('a decision is charged to what it asks about, a peek is work', async () => {
  const headers = { ...(await as(uniqueName('acme'))), 'content-type': 'application/json' };
  const check = (peek: boolean): RequestInit => ({
    method: 'POST',
    headers,
    body: JSON.stringify({ method: 'GET', path: '/x', peek }),
  });
  expect(refusedOf(await statusesOf(10, '/v1/check', check(false)))).toBe(0);
  expect(refusedOf(await statusesOf(7, '/v1/check', check(true)))).toBe(2);
});

test('services are the operator’s own: their calls are not charged to a tenant', async () => {
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
])('C3: a block holds on %s %s', async (method, path, body) => {
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

import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tollgate } from '../../../../services/gateway/entrypoints/plugin.ts';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { as } from '../gateway.ts';
import { useBudgets } from './budget-gateway.ts';

const budgets = useBudgets();
let app: FastifyInstance;
let url = '';
let errors: unknown[] = [];

beforeAll(async () => {
  app = fastify();
  await app.register(tollgate, { enforcer: budgets.gateway.enforcer });
  const reserve = { usage: { input_tokens: 100, output_tokens: 900 }, model: 'small-1' };
  app.post('/answer', { config: { access: 'decision', tollgate: { reserve } } }, async (request) => {
    await request.tollgate?.settle({ usage: { input_tokens: 40, output_tokens: 10 } });
    return { done: true };
  });
  app.post('/later', { config: { access: 'decision', tollgate: { reserve } } }, (request, reply) => {
    reply.raw.once('finish', () => void request.tollgate?.settle({ usage: { output_tokens: 20 } }));
    return { done: true };
  });
  app.post('/wrong', { config: { access: 'decision', tollgate: { reserve } } }, (request) => {
    try {
      void request.tollgate?.settle({ usage: { pages: 3 } });
    } catch (error) {
      errors.push(error);
    }
    return { done: true };
  });
  app.post(
    '/misspelled',
    { config: { access: 'decision', tollgate: { reserve: { usage: { pages: 3 } } } } },
    () => ({
      done: true,
    }),
  );
  url = await app.listen({ host: '127.0.0.1', port: 0 });
});

afterAll(() => app.close());

const call = async (path: string, tenant: string): Promise<Response> =>
  fetch(url + path, { method: 'POST', headers: await as(tenant) });

test('D1: a handler settles what its route has reserved, before or after the response', async () => {
  const tenant = uniqueName('acme');
  const before = await call('/answer', tenant);
  expect(before.status).toBe(200);
  const settled = await budgets.settled(before.headers.get('x-tollgate-decision'));
  expect(settled).toMatchObject({ status: 200, quantities: { tokens: 50, usd: 0.00008 } });
  const after = await call('/later', tenant);
  await budgets.settled(after.headers.get('x-tollgate-decision'));
  await eventually(async () => (await budgets.left(tenant))['tokens'] === 1930);
  const [event] = budgets.gateway.requests();
  expect(event?.data).toMatchObject({
    status: 200,
    reservation: { state: 'open', reserved: { tokens: 1000 } },
  });
});

test('D1: usage with an unknown name is an error of the application, and the reservation stays', async () => {
  const tenant = uniqueName('acme');
  errors = [];
  expect((await call('/wrong', tenant)).status).toBe(200);
  expect(errors).toMatchObject([{ message: expect.stringContaining('pages is neither') as string }]);
  expect(await budgets.left(tenant)).toMatchObject({ tokens: 1000 });
  expect((await call('/misspelled', tenant)).status).toBe(500);
});

test('D1: a request whose reservation has no room gets a 429, and its handler does not run', async () => {
  const tenant = uniqueName('acme');
  for (const path of ['/wrong', '/wrong']) await call(path, tenant);
  const refused = await call('/wrong', tenant);
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({ quantity: 'tokens', remaining: 0 });
});

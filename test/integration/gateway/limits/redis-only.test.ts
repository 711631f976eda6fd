// Goal: an API that does not serve requests without Redis is not charged for the requests that it refused meanwhile.
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tollgate } from '../../../../services/gateway/entrypoints/plugin.ts';
import { eventually, startRedis, uniqueName } from '../../../support/servers.ts';
import { as, startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';

let redis: Awaited<ReturnType<typeof startRedis>>;
let gateway: TestGateway;
let open: FastifyInstance;
let closed: FastifyInstance;

beforeAll(async () => {
  redis = await startRedis({ durable: true });
  gateway = await startGateway({
    redisUrl: redis.url,
    policy: {
      quantities: '{ tokens: { sum: [output_tokens] } }',
      plans: `
  free:
    limits:
      - { name: minute, per: tenant, limit: 6, window: 1m }
      - { name: tokens, of: tokens, per: tenant, limit: 100, window: 1h }`,
      platform: '{ limits: [{ name: platform, per: global, type: concurrent, limit: 100 }] }',
    },
  });
  open = await serverOf(false);
  closed = await serverOf(true);
});
afterAll(async () => {
  await Promise.all([open.close(), closed.close()]);
  await gateway.close();
  await redis.dispose();
});

async function serverOf(redisOnly: boolean): Promise<FastifyInstance> {
  const app = fastify();
  await app.register(tollgate, { enforcer: gateway.enforcer, redisOnly });
  app.get('/plain', () => 'served');
  const reserve = { usage: { output_tokens: 40 } };
  app.get('/reserving', { config: { access: 'decision', tollgate: { reserve } } }, () => 'served');
  await app.listen({ host: '127.0.0.1', port: 0 });
  return app;
}

async function call(app: FastifyInstance, tenant: string, path = '/plain'): Promise<Response> {
  const response = await fetch(app.listeningOrigin + path, { headers: await as(tenant) });
  await response.text();
  return response;
}

/** Units left in the windows `minute` and `tokens`; only reserving requests have the latter. */
function left(response: Response): number[] {
  const field = response.headers.get('ratelimit') ?? '';
  const names = ['minute', 'tokens'].filter((name) => field.includes(name));
  return names.map((name) => Number(new RegExp(`"${name}";r=(\\d+)`).exec(field)?.[1]));
}

test('D1: requests that are refused because Redis is away charge nothing, on this node and after the outage', async () => {
  const tenant = uniqueName('acme');
  await eventually(async () => (await call(closed, uniqueName('first'))).status === 200);
  expect(left(await call(closed, tenant))).toEqual([5]);
  expect(left(await call(closed, tenant, '/reserving'))).toEqual([4, 60]);
  await redis.kill();
  gateway.events.length = 0;
  for (const path of ['/plain', '/reserving', '/plain', '/plain', '/reserving', '/plain', '/plain']) {
    const refused = await call(closed, tenant, path);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(refused.headers.get('x-should-retry')).toBeNull();
  }
  expect(gateway.requests().map(({ data }) => data)).toEqual(
    Array.from({ length: 7 }, (): unknown =>
      expect.objectContaining({
        decision: 'limited',
        limited_by: ['unavailable'],
        status: 503,
        degraded: true,
      }),
    ),
  );
  // The same node charges this request without Redis, and adds it to Redis later.
  const served = await call(open, tenant, '/reserving');
  expect([served.status, ...left(served)]).toEqual([200, 3, 20]);
  await redis.restart();
  const after = await eventually(
    async () => {
      const response = await call(closed, tenant);
      return response.status === 200 ? response : null;
    },
    { intervalMs: 100 },
  );
  expect(left(after)).toEqual([2]);
  expect(left(await call(closed, tenant, '/reserving'))).toEqual([2, 20]);
});

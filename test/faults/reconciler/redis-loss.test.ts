import { setTimeout as wait } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, startRedis, uniqueName } from '../../support/servers.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { startTenantLoad } from './tenant-load.ts';

/**
 * Goal: a quota survives the loss of Redis. Method: the whole pipeline under load, on a separate Redis that loses its
 * data or stops; the responses that clients received are compared with the limit and with ClickHouse.
 */
const long = process.env['TOLLGATE_FAULTS'] === 'long';
const limit = 1_200;
const requestsPerSecond = 150;
const awayMs = long ? 20_000 : 3_000;
const policyText = `version: 1
links: { documentation: https://docs.example.com/limits, upgrade: https://example.com/pricing }
identity:
  jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: [tenant_id], user: sub, plan: tier }
  anonymous: ip
default_plan: free
plans:
  free: { limits: [{ name: day, per: tenant, limit: ${limit}, window: 1d, type: quota }] }
  people: { limits: [{ name: mine, per: user, limit: 1000000, window: 1d, type: quota }] }
  large: { limits: [{ name: day, per: tenant, limit: 1000000, window: 1d, type: quota }] }
services: [{ name: internal, token_env: TOLLGATE_SERVICE_TOKEN }]
`;

let redis: Awaited<ReturnType<typeof startRedis>>;
let run: PolicyRun;

beforeAll(async () => {
  redis = await startRedis();
  run = await runPolicy('default', {
    services: ['gateway', 'aggregator', 'reconciler'],
    edit: () => policyText,
    env: { REDIS_URL: redis.url, TOLLGATE_REDIS_TIMEOUT_MS: '1000' },
  });
});

afterAll(async () => {
  await run.stop();
  await redis.dispose();
});

async function metric(name: string): Promise<number> {
  const { opsUrl } = run.installation.service('reconciler');
  const text = await (await fetch(`${opsUrl}/metrics`)).text();
  return Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

async function consumedOf(tenantId: string): Promise<number> {
  const rows = await run.clickhouse.query<{ units: number }>(
    `SELECT sum(units) AS units FROM usage_by_day WHERE tenant_id = {tenantId:String} AND decision = 'allowed'`,
    { tenantId },
  );
  return rows[0]?.units ?? 0;
}

describe('a daily quota under load', () => {
  test('is restored within 3 s of FLUSHALL at 80 %, and admits no more than the bound', async () => {
    const tenantId = uniqueName('flushed');
    const load = startTenantLoad(
      run,
      await run.token({ tenant_id: tenantId, tier: 'free' }),
      requestsPerSecond,
    );
    await eventually(() => load.passed() >= limit * 0.8, { timeoutMs: 30_000 });
    const rebuilds = await metric('tollgate_rebuild_seconds_count');
    await flush();
    const lostAt = performance.now();
    // Waits until the quota is used up again (until then, some requests above the limit may be admitted), and then
    // until Redis counts the last events.
    await eventually(() => load.seen.at(-1)?.status === 429, { timeoutMs: 30_000 });
    await wait(2_000);
    await load.stop();

    const wrong = load.seen.filter(({ atMs, remaining }) => atMs > lostAt && remaining > limit * 0.25);
    const restoredMs = (wrong.at(-1)?.atMs ?? lostAt) - lostAt;
    const over = load.passed() - limit;
    const boundMs = 250 + (await metric('tollgate_rebuild_seconds_sum')) * 1000 + 1_000;
    process.stderr.write(
      `restored after ${Math.round(restoredMs)} ms; ${over} of ${limit} admitted above the limit ` +
        `(bound ${Math.ceil((boundMs / 1000) * requestsPerSecond)} at ${requestsPerSecond}/s)\n`,
    );
    expect(await metric('tollgate_rebuild_seconds_count')).toBeGreaterThan(rebuilds);
    expect(restoredMs).toBeLessThan(3_000);
    expect(over).toBeLessThanOrEqual(3 * requestsPerSecond);
  });

  test('of a user counts every request after FLUSHALL under load, including events in flight', async () => {
    const token = await run.token({ tenant_id: uniqueName('people'), sub: 'ada', tier: 'people' });
    const load = startTenantLoad(run, token, requestsPerSecond);
    await eventually(() => load.passed() >= 300, { timeoutMs: 30_000 });
    await flush();
    const lostAt = performance.now();
    await eventually(() => load.passed() >= 600, { timeoutMs: 30_000 });
    await load.stop();
    // A peek consumes nothing, so the counter can reach its final value.
    const peek = { token, body: { method: 'GET', path: '/things', peek: true } };
    const used = async (): Promise<number> => {
      const { headers } = (await run.api('POST /v1/check', peek)).body as { headers: Record<string, string> };
      return 1_000_000 - Number(headers['x-ratelimit-remaining'] ?? headers['X-RateLimit-Remaining']);
    };
    await eventually(
      async () => {
        expect(await used()).toBe(load.passed());
        return true;
      },
      {
        timeoutMs: 30_000,
        intervalMs: 250,
      },
    );
    const rightAfterMs = Math.round(performance.now() - lostAt);
    process.stderr.write(
      `a user's ${load.passed()} requests are all counted ${rightAfterMs} ms after FLUSHALL\n`,
    );
  });

  test('after an outage of Redis is the same in the answers to clients, in ClickHouse and in Redis', async () => {
    const tenantId = uniqueName('away');
    const token = await run.token({ tenant_id: tenantId, tier: 'large' });
    const load = startTenantLoad(run, token, requestsPerSecond);
    await eventually(() => load.passed() >= 100, { timeoutMs: 30_000 });
    await redis.kill();
    await wait(awayMs);
    await redis.restart();
    const backAt = performance.now();
    await wait(1_000);
    await load.stop();
    const passed = load.passed();
    expect(passed).toBe(load.seen.length);
    await eventually(async () => (await consumedOf(tenantId)) === passed, { timeoutMs: 30_000 });
    await eventually(async () => {
      const { headers } = await run.call('GET /things', { token });
      const used = 1_000_000 - Number(headers.get('x-ratelimit-remaining'));
      return used >= passed;
    });
    process.stderr.write(
      `${passed} received, all counted ${Math.round(performance.now() - backAt)} ms after the restart of Redis\n`,
    );
  });
});

async function flush(): Promise<void> {
  const client = new Redis(redis.url);
  await client.flushall();
  client.disconnect();
}

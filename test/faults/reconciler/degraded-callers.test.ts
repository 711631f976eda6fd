import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, startRedis, uniqueName } from '../../support/servers.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';

/**
 * Goal: after decisions without Redis, a user's quota in Redis equals the units that ClickHouse counts, even if the
 * gateway that made the decisions was killed. Method: Redis is paused and resumes with all its data, so that no rebuild
 * starts. Before it resumes, the gateway is killed, so that it cannot count the admitted units in Redis. Afterwards no
 * request is sent.
 */
const policyText = `version: 1
links: { documentation: https://docs.example.com/limits, upgrade: https://example.com/pricing }
identity:
  jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: [tenant_id], user: sub, plan: tier }
default_plan: free
plans:
  free: { limits: [{ name: mine, per: user, limit: 5000, window: 1d, type: quota }] }
services: [{ name: internal, token_env: TOLLGATE_SERVICE_TOKEN }]
`;

let redis: Awaited<ReturnType<typeof startRedis>>;
let run: PolicyRun;

beforeAll(async () => {
  redis = await startRedis();
  run = await runPolicy('default', {
    services: ['gateway', 'aggregator', 'reconciler'],
    edit: () => policyText,
    env: { REDIS_URL: redis.url, TOLLGATE_REDIS_TIMEOUT_MS: '200' },
  });
});

afterAll(async () => {
  redis.resume();
  await run.stop();
  await redis.dispose();
});

test('a quota per user holds what ClickHouse counts after decisions without Redis, without any request', async () => {
  const token = await run.token({ tenant_id: uniqueName('apart'), sub: 'ada', tier: 'free' });
  const used = async (): Promise<number | null> => {
    const peek = { token, body: { method: 'GET', path: '/things', peek: true } };
    const answer = (await run.api('POST /v1/check', peek)).body as unknown as CheckAnswer;
    return answer.degraded ? null : 5_000 - (answer.limits[0]?.remaining ?? 0);
  };
  await eventually(async () => (await used()) === 0);
  await run.calls(49, 'GET /things', { token });
  redis.pause();
  const answers = await run.calls(400, 'GET /things', { token });
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(400);
  await run.installation.service('gateway').kill();
  redis.resume();
  await run.installation.service('gateway').restart();
  const backAt = performance.now();
  await eventually(
    async () => {
      expect(await used()).toBe(449);
      return true;
    },
    { intervalMs: 100 },
  );
  process.stderr.write(
    `all 449 requests are counted ${Math.round(performance.now() - backAt)} ms after the restart\n`,
  );
});

interface CheckAnswer {
  readonly degraded: boolean;
  readonly limits: readonly { readonly remaining: number }[];
}

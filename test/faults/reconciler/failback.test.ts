import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../support/servers.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { startPair } from '../redis/failback.ts';
import type { Pair } from '../redis/failback.ts';

/**
 * Goal: after a failback, older counters of a former Redis primary are detected, although its process and run id are
 * the same as before the failover. Method: the whole pipeline uses a primary and its replica behind one address;
 * failover, traffic, failback. Afterwards no request is sent, so that only a rebuild can restore the counters.
 */
const policyText = `version: 1
links: { documentation: https://docs.example.com/limits, upgrade: https://example.com/pricing }
identity:
  jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: [tenant_id], user: sub, plan: tier }
default_plan: free
plans:
  free:
    limits:
      - { name: day, per: tenant, limit: 1000, window: 1d, type: quota }
      - { name: mine, per: user, limit: 1000, window: 1d, type: quota }
services: [{ name: internal, token_env: TOLLGATE_SERVICE_TOKEN }]
`;

let pair: Pair;
let run: PolicyRun;

beforeAll(async () => {
  pair = await startPair();
  run = await runPolicy('default', {
    services: ['gateway', 'aggregator', 'reconciler'],
    edit: () => policyText,
    env: { REDIS_URL: pair.url },
  });
});

afterAll(async () => {
  await run.stop();
  await pair.dispose();
});

interface Used {
  readonly day: number;
  readonly mine: number;
}

/**
 * Reads the used units in Redis; null while the gateway decides without Redis. The read is a peek, which consumes
 * nothing and writes no event.
 */
async function usedOf(token: string): Promise<Used | null> {
  const peek = { token, body: { method: 'GET', path: '/things', peek: true } };
  const { degraded, limits } = (await run.api('POST /v1/check', peek)).body as unknown as CheckAnswer;
  if (degraded) return null;
  const used = (wanted: string): number => {
    const { limit, remaining } = limits.find(({ name }) => name === wanted) ?? { limit: 0, remaining: 0 };
    return limit - remaining;
  };
  return { day: used('day'), mine: used('mine') };
}

interface CheckAnswer {
  readonly degraded: boolean;
  readonly limits: readonly { readonly name: string; readonly limit: number; readonly remaining: number }[];
}

async function storedOf(tenantId: string): Promise<number> {
  const rows = await run.clickhouse.query<{ units: number }>(
    `SELECT sum(units) AS units FROM usage_by_day WHERE tenant_id = {tenantId:String} AND decision = 'allowed'`,
    { tenantId },
  );
  return rows[0]?.units ?? 0;
}

/**
 * Resolves when the reconciler has compared no quota for some time, because an announcement in flight would restore a
 * tenant's counter.
 */
async function reconcilerAtRest(): Promise<void> {
  let [seen, since] = ['', performance.now()];
  await eventually(async () => {
    const { opsUrl } = run.installation.service('reconciler');
    const text = await (await fetch(`${opsUrl}/metrics`)).text();
    const comparisons = text.match(/^tollgate_quota_comparisons_total.*$/gm)?.join() ?? '';
    if (comparisons !== seen) [seen, since] = [comparisons, performance.now()];
    return performance.now() - since > 1_500;
  });
}

describe('a failback to an older copy of Redis with a trusted run id', () => {
  test.each([1, 2])(
    'is detected, and all quotas hold what ClickHouse counts (round %i)',
    { timeout: 120_000 },
    async () => {
      const tenantId = uniqueName('failback');
      const token = await run.token({ tenant_id: tenantId, sub: 'ada', tier: 'free' });
      const decidedByRedis = (): Promise<unknown> => eventually(async () => (await usedOf(token)) !== null);
      await decidedByRedis();
      await run.calls(133, 'GET /things', { token });
      await pair.inSync();
      await pair.failOver();
      await decidedByRedis();
      await run.calls(108, 'GET /things', { token });
      await eventually(async () => (await storedOf(tenantId)) === 241);
      await eventually(async () => {
        expect(await usedOf(token)).toEqual({ day: 241, mine: 241 });
        return true;
      });

      await reconcilerAtRest();

      await pair.failBack();
      const backAt = performance.now();
      await eventually(
        async () => {
          expect(await usedOf(token)).toEqual({ day: 241, mine: 241 });
          return true;
        },
        { timeoutMs: 15_000, intervalMs: 50 },
      );
      process.stderr.write(
        `counters restored ${Math.round(performance.now() - backAt)} ms after the failback\n`,
      );
      await pair.replicate();
    },
  );
});

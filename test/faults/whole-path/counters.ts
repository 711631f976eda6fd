import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { signToken } from './load.ts';

/** Counters of a quota that the load uses up, and of one that it does not. */
export const cappedLimit = 300;
export const bigLimit = 10_000_000;

export interface CountersAt {
  readonly apiUrl: string;
  readonly jwtSecret: string;
  readonly clickhouse: ClickHouse;
}

/**
 * Where a tenant's quota in Redis differs from the units that ClickHouse counts, and where more was let through than
 * the bound: the limit once in Redis, and once more by the nodes alone, however often Redis was away. A request that got
 * no answer may have taken units without an event; so many more may be taken, and none less.
 */
export async function checkCounters(
  at: CountersAt,
  tenants: readonly string[],
  unanswered: number,
): Promise<readonly string[]> {
  const broken: string[] = [];
  for (const tenant of tenants) {
    const limit = tenant.startsWith('capped') ? cappedLimit : bigLimit;
    const rows = await at.clickhouse.query<{ units: number }>(
      `SELECT toFloat64(sum(units)) AS units FROM usage_by_day WHERE tenant_id = {tenant:String} AND decision = 'allowed'`,
      { tenant },
    );
    const units = rows[0]?.units ?? 0;
    const left = await remainingOf(at, tenant);
    if (!(left <= Math.max(0, limit - units) && left >= Math.max(0, limit - units - unanswered)))
      broken.push(`${tenant}: Redis has ${left} of ${limit} left, ClickHouse counts ${units} used`);
    if (units > 2 * limit) broken.push(`${tenant}: ${units} let through, at most ${2 * limit} may be`);
  }
  return broken;
}

async function remainingOf({ apiUrl, jwtSecret }: CountersAt, tenant: string): Promise<number> {
  const response = await fetch(`${apiUrl}/v1/check`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await signToken(tenant, jwtSecret)}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ method: 'GET', path: '/v1/things', peek: true }),
  });
  const { limits } = (await response.json()) as { limits: { name: string; remaining: number }[] };
  return limits.find(({ name }) => name === 'day')?.remaining ?? Number.NaN;
}

import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { signToken } from './load.ts';

/** Limits of two quotas: the load uses up the first quota, but not the second. */
export const cappedLimit = 300;
export const bigLimit = 10_000_000;

export interface CountersAt {
  readonly apiUrl: string;
  readonly jwtSecret: string;
  readonly clickhouse: ClickHouse;
}

/**
 * Describes each tenant whose quota in Redis differs from the units that ClickHouse counts, or that was admitted more
 * units than the bound. The bound is twice the limit: once admitted by Redis and once by the nodes without Redis, over
 * any number of outages. A request without a response may have charged units without an event. So Redis may have more
 * used units than ClickHouse, by at most the number of these requests, but never fewer.
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

import { Registry } from 'prom-client';
import type { RedisClient } from '../../../../shared/redis/client.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import { limitOf, limiterOn, requestOf } from '../limiters.ts';

export type LeasedUnits = Record<'granted' | 'spent' | 'returned', number>;

export interface Node {
  readonly limiter: Limiter;
  units(): Promise<LeasedUnits>;
  /** Sends the renewals that are due, and resolves when Redis has replied to them. */
  readonly renew: () => Promise<void>;
}

/** A gateway node that leases units, with a clock of its own. */
export function nodeOn(
  redis: RedisClient,
  prefix: string,
  now: () => number,
  skewMs = 0,
  leaseUnits = true,
): Node {
  const registry = new Registry();
  const clock = { now: () => now() + skewMs };
  const limiter = limiterOn(redis, prefix, { registry, clock, redisTime: { now }, leaseUnits });
  const units = async (): Promise<LeasedUnits> => {
    const metrics = await registry.getMetricsAsJSON();
    const values = metrics.find(({ name }) => name === 'tollgate_lease_units_total')?.values ?? [];
    const of = (key: string): number => values.find(({ labels }) => labels['result'] === key)?.value ?? 0;
    return { granted: of('granted'), spent: of('spent'), returned: of('returned') };
  };
  // Renewals are sent with the next check, at the latest.
  const renew = async (): Promise<void> => {
    await limiter.check(peekOfOther);
  };
  return { limiter, units, renew };
}

const peekOfOther = requestOf([limitOf({ limit: 5 })], { tenantId: 'other', peek: true });

/** Just before midnight UTC, so that the sequences cross the end of a day. */
export const startMs = Date.UTC(2026, 0, 31, 23, 59, 59, 0);

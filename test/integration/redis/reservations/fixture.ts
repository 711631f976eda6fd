import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import type { Limit } from '../../../../shared/domain/limit.ts';
import type { RedisClient } from '../../../../shared/redis/client.ts';
import type { CheckRequest } from '../../../../shared/redis/decision/check.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import type { Reservation } from '../../../../shared/redis/reservations/reservation.ts';
import { servers, uniqueName } from '../../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from '../limiters.ts';

export const hourMs = 3_600_000;
export const startMs = Date.UTC(2026, 0, 15, 12);

export const requests = limitOf({ limit: 10 });
export const tokens = limitOf({ name: 'tokens', of: 'tokens', limit: 1000 });
export const many = limitOf({ name: 'many', of: 'tokens', limit: 64_000, windowMs: 64_000 });
export const spend = limitOf({
  ...{ name: 'spend', of: 'usd', type: 'quota', period: 'hour', windowMs: hourMs, limit: 5_000_000 },
});
export const limits = [requests, tokens, spend];

/** Two nodes on one Redis, whose time the test sets. */
export interface Nodes {
  nowMs: number;
  prefix: string;
  redis: RedisClient;
  limiter: Limiter;
  other: Limiter;
  /** Reserves by the first node. */
  reserve(amounts: Record<string, number>, id?: string, of?: readonly Limit[]): Promise<Reservation>;
  /** What all limits have left. */
  left(of?: readonly Limit[]): Promise<number[]>;
}

/** Creates the nodes anew for each test of the file. */
export function createNodes(): Nodes {
  const nodes = { reserve, left } as Nodes;
  beforeAll(async () => void (nodes.redis = await connected(servers().redisUrl)));
  afterAll(() => nodes.redis.disconnect());
  beforeEach(() => {
    const time = { now: () => nodes.nowMs };
    nodes.nowMs = startMs;
    nodes.prefix = uniqueName('reservations');
    nodes.limiter = limiterOn(nodes.redis, nodes.prefix, { redisTime: time, clock: time });
    nodes.other = limiterOn(nodes.redis, nodes.prefix, { redisTime: time, clock: time });
  });
  afterEach(() => Promise.all([nodes.limiter.close(), nodes.other.close()]));
  return nodes;

  async function reserve(
    amounts: Record<string, number>,
    id?: string,
    of: readonly Limit[] = limits,
  ): Promise<Reservation> {
    const { passed, reservation } = await nodes.limiter.check(requestFor(amounts, id, of));
    expect(passed).toBe(true);
    if (reservation === null) throw new Error('no reservation');
    return reservation.handle;
  }

  async function left(of: readonly Limit[] = limits): Promise<number[]> {
    const { states } = await nodes.other.check(requestOf(of, { peek: true }));
    return states.map(({ remaining }) => remaining);
  }
}

export function requestFor(
  amounts: Record<string, number>,
  id = 'r1',
  of: readonly Limit[] = limits,
): CheckRequest {
  const reservation = { id, expiresMs: 600_000, details: `details of ${id}` };
  return requestOf(of, { amounts, reservation });
}

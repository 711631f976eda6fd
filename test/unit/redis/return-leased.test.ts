import { expect, test } from 'vitest';
import type { RedisClient } from '../../../shared/redis/client.ts';
import type { Shape } from '../../../shared/redis/decision/windows.ts';
import type { CircuitBreaker } from '../../../shared/redis/fallback/circuit-breaker.ts';
import { returnLeased } from '../../../shared/redis/unit-leases/return-leased.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';

const unspent = {
  subject: { key: 'tollgate:{acme}', tag: '{acme}' },
  shape: { windows: [{ field: 'q', period: null, spanMs: 60_000 }] } as unknown as Shape,
  units: 19,
  storedAtMs: 1_000,
  epoch: 0,
};

function fixture(openFor: number): { returned: Promise<boolean>; calls: number[] } {
  const calls: number[] = [];
  let readings = 0;
  const breaker: CircuitBreaker = {
    isOpen: () => (readings += 1) <= openFor,
    run: (call) => call(),
    close: () => undefined,
  };
  const evalsha = (): Promise<number> => Promise.resolve(calls.push(1));
  const returned = returnLeased(
    {
      redis: { evalsha } as unknown as RedisClient,
      breakerOf: () => breaker,
      redisTime: undefined,
      epochMs: () => 0,
      logger: createLogger('test', 'silent'),
    },
    unspent,
  );
  return { returned, calls };
}

test('unspent units of a lease are returned after the circuit breaker was open for a moment', async () => {
  const { returned, calls } = fixture(3);
  expect(await returned).toBe(true);
  expect(calls).toHaveLength(1);
});

test('a server that stays away gets no return: the units stay charged', async () => {
  const { returned, calls } = fixture(Infinity);
  expect(await returned).toBe(false);
  expect(calls).toHaveLength(0);
});

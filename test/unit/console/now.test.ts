import { describe, expect, test } from 'vitest';
import { createExhaustion } from '../../../services/console/now/exhaustion.ts';
import { heaviestSubjects } from '../../../services/console/now/subjects.ts';
import type { RecentCaller } from '../../../shared/clickhouse/queries/portal/recent-callers.ts';
import type { Limit } from '../../../shared/domain/limit.ts';

const limit: Limit = {
  ...{ name: 'chat', of: 'requests', per: ['user'], type: 'sliding', limit: 10, windowMs: 60_000 },
  ...{ period: null, burst: 0, mode: 'enforce', route: 'POST /chat' },
};
const caller = (part: Partial<RecentCaller>): RecentCaller => ({
  ...{ route: 'POST /chat', user_id: 'ada', client_ip: '192.0.2.1', model: '', requests: 1, limited: 0 },
  ...part,
});

describe('the heaviest callers of a limit', () => {
  test('are its users, or the addresses of requests without a user, with the most requests first', () => {
    const callers = [
      caller({ requests: 2 }),
      caller({ client_ip: '192.0.2.9', requests: 3 }),
      caller({ user_id: '', requests: 4 }),
      caller({ user_id: 'bob', route: 'GET /other', requests: 99 }),
    ];
    expect(heaviestSubjects(limit, callers, null)).toMatchObject([
      { name: 'ada', userId: 'ada', requests: 5 },
      { name: '192.0.2.1', userId: null, ip: '192.0.2.1', requests: 4 },
    ]);
  });

  test('of a limit per user and address are pairs; of a limit per model they are models', () => {
    const callers = [
      caller({ requests: 2 }),
      caller({ client_ip: '192.0.2.9', model: 'small', requests: 1 }),
    ];
    expect(heaviestSubjects({ ...limit, per: ['user', 'ip'] }, callers, null)).toMatchObject([
      { name: 'ada, 192.0.2.1' },
      { name: 'ada, 192.0.2.9' },
    ]);
    expect(heaviestSubjects({ ...limit, per: ['tenant', 'model'] }, callers, null)).toMatchObject([
      { name: 'no model' },
      { name: 'small', attributes: { model: 'small' } },
    ]);
  });

  test('of a limit per API key are the keys of the record; of a header they are unknown', () => {
    const record = {
      tenant_id: 'acme',
      updated_at: '',
      updated_by: '',
      api_keys: [{ sha256: 'ab', name: 'CI' }],
    };
    expect(heaviestSubjects({ ...limit, per: ['key'] }, [], record)).toMatchObject([
      { name: 'CI', attributes: { key: 'ab' } },
    ]);
    expect(heaviestSubjects({ ...limit, per: ['tenant', 'region'] }, [caller({})], null)).toBeNull();
  });

  test('are at most five', () => {
    const callers = Array.from({ length: 50 }, (_, index) => caller({ user_id: `u${index}` }));
    expect(heaviestSubjects(limit, callers, null)).toHaveLength(5);
  });
});

describe('the time until a limit is used up', () => {
  const at = (seconds: number, used: number) => ({ atMs: seconds * 1000, used, remaining: 100 - used });

  test('follows from the growth in the last minute', () => {
    const exhaustion = createExhaustion();
    expect(exhaustion.estimate('day', at(0, 10))).toBeNull();
    expect(exhaustion.estimate('day', at(2, 12))).toBeNull();
    expect(exhaustion.estimate('day', at(10, 20))).toBe(80_000);
    for (let second = 11; second <= 100; second += 1) exhaustion.estimate('day', at(second, 20));
    expect(exhaustion.estimate('day', at(101, 20)), 'usage has stopped growing').toBeNull();
  });

  test('is unknown after a reset, and for a limit that is used up', () => {
    const exhaustion = createExhaustion();
    exhaustion.estimate('day', at(0, 50));
    exhaustion.estimate('day', at(10, 0));
    expect(exhaustion.estimate('day', at(12, 2))).toBeNull();
    expect(exhaustion.estimate('day', at(20, 10))).toBe(90_000);
    expect(exhaustion.estimate('other', { atMs: 0, used: 100, remaining: 0 })).toBeNull();
  });
});

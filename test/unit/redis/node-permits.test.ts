import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createNodePermits } from '../../../shared/redis/leases/node-permits.ts';
import type { NodePermits } from '../../../shared/redis/leases/node-permits.ts';
import { SharePermit } from '../../../shared/redis/leases/permits.ts';
import type { Permit } from '../../../shared/redis/leases/permits.ts';
import type { Caller } from '../../../shared/redis/decision/subjects.ts';
import { limitOf } from '../../integration/redis/limiters.ts';

const tenant = limitOf({ name: 't', per: ['tenant'], type: 'concurrent', limit: 4, perNode: true });
const address = limitOf({ name: 'a', per: ['ip'], type: 'concurrent', limit: 3, perNode: true });
const limits = [tenant, address];
const caller = (tenantId: string | null, ip: string) => ({ tenantId, userId: null, ip });

describe('permits that each node counts alone', () => {
  test('a request above the limit of its tenant or its address is refused, and holds no permit of the other', () => {
    const permits = createNodePermits(() => 1);
    for (const ip of ['192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.2']) {
      expect(permits.acquire(limits, caller('acme', ip)).full).toEqual([]);
    }
    expect(permits.acquire(limits, caller('acme', '192.0.2.3')).full).toEqual([tenant]);
    expect(permits.acquire(limits, caller('other', '192.0.2.1')).full).toEqual([address]);
    expect(permits.acquire(limits, caller('other', '192.0.2.3')).full).toEqual([]);
    permits.close();
  });

  test('a caller without a tenant is counted by its address, IPv6 by the /64', () => {
    const permits = createNodePermits(() => 1);
    for (const host of ['1', '2', '3']) permits.acquire(limits, caller(null, `2001:db8::${host}`));
    expect(permits.acquire(limits, caller(null, '2001:db8::4')).full).toEqual([address]);
    expect(permits.acquire(limits, caller(null, '2001:db8:0:1::4')).full).toEqual([]);
    permits.close();
  });

  test('a node grants its share of a limit, and at least one request', () => {
    const permits = createNodePermits(() => 2);
    const same = caller('acme', '192.0.2.1');
    for (const full of [[], [], [tenant]]) expect(permits.acquire([tenant], same).full).toEqual(full);
    const one = { ...tenant, name: 'one', limit: 1 };
    for (const full of [[], [one]]) expect(permits.acquire([one], same).full).toEqual(full);
    permits.close();
  });

  test('a full shadow limit is reported and counted, and refuses no request', () => {
    const shadow = { ...tenant, limit: 1, mode: 'shadow' as const };
    const permits = createNodePermits(() => 1);
    expect(permits.acquire([shadow], caller('acme', '192.0.2.1')).full).toEqual([]);
    const second = acquire(permits, caller('acme', '192.0.2.1'), [shadow]);
    expect(second.full).toEqual([shadow]);
    second.permit.release();
    expect(permits.acquire([shadow], caller('acme', '192.0.2.1')).full).toEqual([shadow]);
    permits.close();
  });

  test('for any sequence of requests: never more than the limit in flight, and all permits are free at the end', () => {
    const subject = fc.record({
      tenantId: fc.constantFrom('a', 'b', null),
      userId: fc.constant(null),
      ip: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1'),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(subject, fc.boolean())), (steps) => {
        const permits = createNodePermits(() => 1);
        let inFlight: { who: Caller; permit: Permit }[] = [];
        for (const [who, isNew] of steps) {
          if (!isNew) {
            const [first, ...others] = inFlight;
            first?.permit.release();
            inFlight = others;
          } else {
            const { permit, full } = acquire(permits, who);
            if (full.length === 0) inFlight = [...inFlight, { who, permit }];
          }
          for (const id of ['a', 'b']) {
            expect(inFlight.filter(({ who: { tenantId } }) => tenantId === id).length).toBeLessThanOrEqual(4);
          }
          for (const at of ['192.0.2.1', '192.0.2.2', '2001:db8::1']) {
            expect(inFlight.filter(({ who: { ip } }) => ip === at).length).toBeLessThanOrEqual(3);
          }
        }
        for (const { permit } of inFlight) permit.release();
        for (let i = 0; i < 3; i += 1)
          expect(permits.acquire(limits, caller('a', '192.0.2.1')).full).toEqual([]);
        permits.close();
      }),
    );
  });
});

const sharedPermit: Permit = {
  granted: true,
  states: [],
  full: [],
  degraded: false,
  release: () => undefined,
};

function acquire(
  permits: NodePermits,
  from: Caller,
  of = limits,
): { permit: Permit; full: readonly unknown[] } {
  const { counted, full } = permits.acquire(of, from);
  return { permit: new SharePermit(sharedPermit, counted, []), full };
}

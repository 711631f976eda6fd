import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createNodePermits } from '../../../shared/redis/node-permits.ts';
import { limitOf } from '../../integration/redis/limiters.ts';

const tenant = limitOf({ name: 't', per: ['tenant'], type: 'concurrent', limit: 4, perNode: true });
const address = limitOf({ name: 'a', per: ['ip'], type: 'concurrent', limit: 3, perNode: true });
const limits = [tenant, address];
const caller = (tenantId: string | null, ip: string) => ({ tenantId, userId: null, ip });

describe('permits that a node counts alone', () => {
  test('one request too many of a tenant or of an address is refused, and takes nothing of the other', () => {
    const permits = createNodePermits(() => 1);
    for (const ip of ['192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.2']) {
      expect(permits.take(limits, caller('acme', ip))).toEqual([]);
    }
    expect(permits.take(limits, caller('acme', '192.0.2.3'))).toEqual([tenant]);
    expect(permits.take(limits, caller('other', '192.0.2.1'))).toEqual([address]);
    expect(permits.take(limits, caller('other', '192.0.2.3'))).toEqual([]);
    permits.close();
  });

  test('a caller without a tenant counts by its address, and IPv6 by the network', () => {
    const permits = createNodePermits(() => 1);
    for (const host of ['1', '2', '3']) permits.take(limits, caller(null, `2001:db8::${host}`));
    expect(permits.take(limits, caller(null, '2001:db8::4'))).toEqual([address]);
    expect(permits.take(limits, caller(null, '2001:db8:0:1::4'))).toEqual([]);
    permits.close();
  });

  test('a node grants its part of a limit, and one request at the least', () => {
    const permits = createNodePermits(() => 2);
    const who = caller('acme', '192.0.2.1');
    expect([permits.take([tenant], who), permits.take([tenant], who), permits.take([tenant], who)]).toEqual([
      [],
      [],
      [tenant],
    ]);
    const one = { ...tenant, name: 'one', limit: 1 };
    expect([permits.take([one], who), permits.take([one], who)]).toEqual([[], [one]]);
    permits.close();
  });

  test('a full limit in shadow is named and counted, and refuses nobody', () => {
    const shadow = { ...tenant, limit: 1, mode: 'shadow' as const };
    const permits = createNodePermits(() => 1);
    expect(permits.take([shadow], caller('acme', '192.0.2.1'))).toEqual([]);
    expect(permits.take([shadow], caller('acme', '192.0.2.1'))).toEqual([shadow]);
    permits.give([shadow], caller('acme', '192.0.2.1'));
    expect(permits.take([shadow], caller('acme', '192.0.2.1'))).toEqual([shadow]);
    permits.close();
  });

  test('whatever comes and goes: never more than the limit in flight, and all is free in the end', () => {
    const subject = fc.record({
      tenantId: fc.constantFrom('a', 'b', null),
      userId: fc.constant(null),
      ip: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1'),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(subject, fc.boolean())), (steps) => {
        const permits = createNodePermits(() => 1);
        let flying: (typeof steps)[number][0][] = [];
        for (const [who, comes] of steps) {
          if (!comes) {
            const [first, ...rest] = flying;
            if (first !== undefined) permits.give(limits, first);
            flying = rest;
          } else if (permits.take(limits, who).length === 0) flying = [...flying, who];
          for (const id of ['a', 'b']) {
            expect(flying.filter(({ tenantId }) => tenantId === id).length).toBeLessThanOrEqual(4);
          }
          for (const at of ['192.0.2.1', '192.0.2.2', '2001:db8::1']) {
            expect(flying.filter(({ ip }) => ip === at).length).toBeLessThanOrEqual(3);
          }
        }
        for (const who of flying) permits.give(limits, who);
        for (let i = 0; i < 3; i += 1) expect(permits.take(limits, caller('a', '192.0.2.1'))).toEqual([]);
        permits.close();
      }),
    );
  });
});

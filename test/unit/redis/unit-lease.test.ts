import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { stateOf } from '../../../shared/redis/decision/check.ts';
import { createSubjects } from '../../../shared/redis/decision/subjects.ts';
import { shapeOf } from '../../../shared/redis/decision/windows.ts';
import { UnitLease, leaseChecksMin, leaseUnitsMin } from '../../../shared/redis/unit-leases/unit-lease.ts';
import { limitOf } from '../../integration/redis/limiters.ts';

const limit = limitOf({ limit: 1_000_000 });
const shape = shapeOf([limit], true, true, 'UTC');
const subject = createSubjects('unit').tenant('acme');
const lifeMs = shape.leaseMs;
const states = [stateOf(limit, 0, { remaining: 900_000, resetInMs: 60_000, waitMs: 0 })];

let lease: UnitLease;
beforeEach(() => void (lease = new UnitLease(subject, shape)));

/** Lets `units` pass one by one through Redis, and requests a lease. */
function requestAfter(units: number, atMs: number): number {
  for (let unit = 0; unit < units; unit += 1) expect(lease.spend(1, atMs, 0)).toBeNull();
  return lease.request()?.units ?? 0;
}

function begin(units: number, sentAtMs: number, epochOfAll = 0) {
  return lease.begin({ units, epoch: 7 }, { sentAtMs, storedAtMs: 1_000, epochOfAll }, states);
}

test('the life of a lease is one grain of the smallest window, and at most 250 ms', () => {
  const lifeOf = (...windowMs: number[]): number =>
    shapeOf(
      windowMs.map((span, index) => limitOf({ name: `w${index}`, limit: 5_000, windowMs: span })),
      true,
      true,
      'UTC',
    ).leaseMs;
  expect([lifeOf(60_000), lifeOf(60_000, 6_400), lifeOf(640), lifeOf(639)]).toEqual([250, 100, 10, 0]);
});

describe('the size of a lease', () => {
  test('is the number of units that passed recently, and a slow caller gets none', () => {
    expect(requestAfter(leaseUnitsMin - 1, 0)).toBe(0);
    expect(requestAfter(85, 1)).toBe(100);
  });

  test('counts the last two intervals only', () => {
    expect(requestAfter(100, 0)).toBe(100);
    lease.notGranted();
    expect(requestAfter(1, lifeMs)).toBe(100);
    lease.notGranted();
    expect(requestAfter(1, 3 * lifeMs)).toBe(0);
  });

  test('a lone check with a large cost leases nothing, however often it comes', () => {
    for (let check = 0; check < 10; check += 1) {
      expect(lease.spend(1_000, check * lifeMs, 0)).toBeNull();
      expect(lease.request()).toBeNull();
    }
    for (let check = 1; check < leaseChecksMin; check += 1) {
      expect(lease.request()).toBeNull();
      expect(lease.spend(1_000, 9 * lifeMs, 0)).toBeNull();
    }
    expect(lease.request()?.units).toBe(leaseChecksMin * 1_000);
  });

  test('one lease is requested at a time', () => {
    expect(requestAfter(100, 0)).toBe(100);
    expect(requestAfter(100, 1)).toBe(0);
    lease.notGranted();
    expect(requestAfter(0, 1)).toBe(200);
  });
});

describe('spending', () => {
  test('states what is left after each unit, own unspent units included', () => {
    requestAfter(100, 0);
    expect(begin(100, 0).states[0]?.remaining).toBe(900_100);
    expect(lease.spend(30, 1, 0)?.[0]).toMatchObject({ remaining: 900_070, violated: false });
    expect(lease.spend(71, 1, 0)).toBeNull();
    expect(lease.spend(70, 1, 0)?.[0]?.remaining).toBe(900_000);
    expect(lease.spend(1, 1, 0)).toBeNull();
  });

  test('units that are fewer than a cost do not delay the next lease, which returns them', () => {
    requestAfter(100, 0);
    begin(100, 0);
    expect(lease.spend(90, 1, 0)).not.toBeNull();
    expect(lease.spend(20, 1, 0)).toBeNull();
    expect(lease.request()?.units).toBe(210);
    expect(lease.spend(4, 1, 0), 'smaller checks spend them meanwhile').not.toBeNull();
    expect(begin(210, 1).unspent?.units).toBe(6);
  });

  test('ends one life after the request was sent, and the unspent units are stated once', () => {
    requestAfter(100, 0);
    begin(100, 0);
    expect(lease.endIfOver(lifeMs - 1)).toBeNull();
    expect(lease.spend(40, lifeMs - 1, 0)).not.toBeNull();
    expect(lease.spend(1, lifeMs, 0)).toBeNull();
    expect(lease.endIfOver(lifeMs)).toMatchObject({ units: 60, storedAtMs: 1_000, epoch: 7 });
    expect(lease.endIfOver(lifeMs)).toBeNull();
    expect(lease.isActive()).toBe(false);
  });

  test('a global reset ends it', () => {
    requestAfter(100, 0);
    begin(100, 0, 5);
    expect(lease.spend(1, 1, 5)).not.toBeNull();
    expect(lease.spend(1, 1, 6)).toBeNull();
  });

  test('the lease before is returned when the next one begins', () => {
    requestAfter(100, 0);
    begin(100, 0);
    lease.spend(90, 1, 0);
    lease.spend(20, 2, 0);
    expect(begin(100, lifeMs).unspent?.units).toBe(10);
  });
});

test('whatever happens, the units of all leases are spent or unspent, and none is spent after its end', () => {
  const stepArb = fc.record({
    wait: fc.oneof(fc.nat({ max: 5 }), fc.constantFrom(lifeMs - 1, lifeMs, lifeMs + 1)),
    cost: fc.integer({ min: 1, max: 40 }),
    delay: fc.nat({ max: 3 }),
    grants: fc.nat({ max: 60 }),
  });
  fc.assert(
    fc.property(fc.array(stepArb, { maxLength: 200 }), (steps) => {
      lease = new UnitLease(subject, shape);
      let [nowMs, granted, spent, unspent, endsAtMs] = [0, 0, 0, 0, -1];
      for (const { wait, cost, delay, grants } of steps) {
        nowMs += wait;
        if (lease.spend(cost, nowMs, 0) !== null) {
          expect(nowMs).toBeLessThan(endsAtMs);
          spent += cost;
          continue;
        }
        const request = lease.request();
        if (request === null) continue;
        const sentAtMs = nowMs;
        nowMs += delay;
        const units = Math.min(request.units, grants);
        if (units < leaseUnitsMin) {
          lease.notGranted();
          continue;
        }
        granted += units;
        endsAtMs = sentAtMs + lifeMs;
        unspent += begin(units, sentAtMs).unspent?.units ?? 0;
      }
      unspent += lease.endIfOver(nowMs, true)?.units ?? 0;
      expect(spent + unspent).toBe(granted);
    }),
  );
});

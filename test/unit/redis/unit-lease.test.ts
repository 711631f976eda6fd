import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { stateOf } from '../../../shared/redis/decision/check.ts';
import { createSubjects } from '../../../shared/redis/decision/subjects.ts';
import { shapeOf } from '../../../shared/redis/decision/windows.ts';
import { leaseChecksMin, leaseUnitsMin } from '../../../shared/redis/unit-leases/check-rate.ts';
import { UnitLease } from '../../../shared/redis/unit-leases/unit-lease.ts';
import type { UnspentUnits } from '../../../shared/redis/unit-leases/unit-lease.ts';
import { limitOf } from '../../integration/redis/limiters.ts';

const limit = limitOf({ limit: 1_000_000 });
const shape = shapeOf([limit], true, true, 'UTC');
const subject = createSubjects('unit').tenant('acme');
const lifeMs = shape.leaseMs;
const states = [stateOf(limit, 0, { remaining: 900_000, resetInMs: 60_000, waitMs: 0 })];

let lease: UnitLease;
let unspent: UnspentUnits[];
function reset(): void {
  unspent = [];
  lease = new UnitLease(subject, shape, (units) => void unspent.push(units));
}
beforeEach(reset);

const unspentUnits = (): number => unspent.reduce((sum, { units }) => sum + units, 0);

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
  test('is nine tenths of the units that passed recently: it is renewed ahead of its end', () => {
    expect(requestAfter(15, 0)).toBe(0);
    expect(requestAfter(85, 1)).toBe(90);
  });

  test('counts the last two intervals only', () => {
    expect(requestAfter(100, 0)).toBe(90);
    lease.notGranted();
    expect(requestAfter(1, lifeMs)).toBe(90);
    lease.notGranted();
    expect(requestAfter(1, 3 * lifeMs)).toBe(0);
  });

  test('is stated for the life of a lease, also if the interval before was longer', () => {
    requestAfter(100, 0);
    lease.notGranted();
    expect(requestAfter(1, 1.5 * lifeMs)).toBe(60);
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
    expect(lease.request()?.units).toBe(0.9 * leaseChecksMin * 1_000);
  });

  test('a caller with four checks in each interval gets leases, and one that sends them as a burst does not', () => {
    const requestedBy = (gapMs: number): boolean => {
      reset();
      for (let atMs = 0; atMs < 2 * lifeMs; atMs += gapMs) {
        expect(lease.spend(1, atMs, 0)).toBeNull();
        if (lease.request() !== null) return true;
      }
      return false;
    };
    expect([50, 62, 90, 250].map(requestedBy)).toEqual([true, true, false, false]);
    reset();
    expect(requestAfter(15, 0)).toBe(0);
    expect(requestAfter(15, 10 * lifeMs)).toBe(0);
  });

  test('one lease is requested at a time, and its request states the units that the node holds', () => {
    expect(requestAfter(100, 0)).toBe(90);
    expect(requestAfter(100, 1)).toBe(0);
    begin(90, 1);
    expect(lease.spend(80, 2, 0)).not.toBeNull();
    expect(lease.spend(20, 2, 0)).toBeNull();
    expect(lease.request()).toEqual({ units: 270, lifeMs, heldUnits: 10 });
  });
});

describe('spending', () => {
  test('states what is left after each unit, own unspent units included', () => {
    requestAfter(100, 0);
    expect(begin(100, 0)[0]?.remaining).toBe(900_100);
    expect(lease.spend(30, 1, 0)?.[0]).toMatchObject({ remaining: 900_070, violated: false });
    expect(lease.spend(71, 1, 0)).toBeNull();
    expect(lease.spend(70, 1, 0)?.[0]?.remaining).toBe(900_000);
    expect(lease.spend(1, 1, 0)).toBeNull();
  });

  test('units that are fewer than a cost do not delay the next lease, and smaller checks spend them', () => {
    requestAfter(100, 0);
    begin(100, 0);
    expect(lease.spend(90, 1, 0)).not.toBeNull();
    expect(lease.spend(20, 1, 0)).toBeNull();
    expect(lease.request()?.heldUnits).toBe(10);
    expect(lease.spend(4, 1, 0)).not.toBeNull();
    begin(200, 1);
    expect(lease.spend(20, 1, 0)).not.toBeNull();
    expect(lease.spend(6, 1, 0)?.[0]?.remaining, 'of the older lease').toBe(900_000);
    lease.endIfOver(lifeMs + 1);
    expect(unspentUnits()).toBe(180);
  });

  test('ends one life after the request was sent, and the unspent units are stated once', () => {
    requestAfter(100, 0);
    begin(100, 0);
    lease.endIfOver(lifeMs - 1);
    expect(lease.spend(40, lifeMs - 1, 0)).not.toBeNull();
    expect(lease.spend(1, lifeMs, 0)).toBeNull();
    expect(unspent).toEqual([]);
    lease.endIfOver(lifeMs);
    lease.endIfOver(lifeMs);
    expect(unspent).toMatchObject([{ units: 60, storedAtMs: 1_000, epoch: 7 }]);
    expect(lease.isActive()).toBe(false);
  });

  test('a global reset ends it', () => {
    requestAfter(100, 0);
    begin(100, 0, 5);
    expect(lease.spend(1, 1, 5)).not.toBeNull();
    expect(lease.spend(1, 1, 6)).toBeNull();
  });

  test('of three leases, the first is returned', () => {
    requestAfter(100, 0);
    for (const left of [10, 20, 30]) begin(left, left);
    expect(unspentUnits()).toBe(10);
    lease.endIfOver(lifeMs + 20);
    expect(unspentUnits()).toBe(30);
  });
});

describe('a renewal', () => {
  /** Begins a lease of `units` for a caller that sends a check each millisecond. */
  function beginSteady(units: number): void {
    for (let atMs = -lifeMs; atMs < 0; atMs += 1) lease.spend(1, atMs, 0);
    lease.request();
    begin(units, 0);
  }

  test('is due once when a tenth of the units is left', () => {
    beginSteady(225);
    for (let unit = 0; unit < 199; unit += 1) {
      expect(lease.startRenewal(1)).toBe(false);
      lease.spend(1, 1, 0);
    }
    lease.spend(1, 1, 0);
    expect(lease.startRenewal(1)).toBe(true);
    expect(lease.startRenewal(1)).toBe(false);
    expect(lease.renew()?.heldUnits).toBe(25);
    expect(lease.startRenewal(1), 'also not while it is on its way').toBe(false);
  });

  test('is due when a tenth of the life is left, and for a slow caller, one and a half of its checks ahead', () => {
    beginSteady(1_000);
    lease.spend(1, 0.9 * lifeMs - 1, 0);
    expect(lease.startRenewal(0.9 * lifeMs - 1)).toBe(false);
    expect(lease.startRenewal(0.9 * lifeMs)).toBe(true);
    reset();
    for (let atMs = -300; atMs < 0; atMs += 50) lease.spend(1, atMs, 0);
    expect(lease.request()?.units).toBe(4);
    begin(4, 0);
    expect([lifeMs - 76, lifeMs - 75].map((atMs) => lease.startRenewal(atMs))).toEqual([false, true]);
  });

  test('is spent after the lease before it, whose time may be over', () => {
    beginSteady(225);
    for (let unit = 0; unit < 205; unit += 1) lease.spend(1, 1, 0);
    expect(lease.startRenewal(1)).toBe(true);
    lease.renew();
    begin(225, 2);
    for (let unit = 0; unit < 20; unit += 1) expect(lease.spend(1, 3, 0)).not.toBeNull();
    expect(unspent).toEqual([]);
    expect(lease.spend(225, lifeMs + 1, 0)).not.toBeNull();
    lease.endIfOver(lifeMs + 2);
    expect(unspent).toEqual([]);
  });

  test('that is not granted is not repeated for the same lease, and a small lease is not renewed', () => {
    beginSteady(225);
    lease.spend(225, 1, 0);
    expect(lease.startRenewal(1)).toBe(true);
    lease.renew();
    lease.notGranted();
    expect(lease.startRenewal(2)).toBe(false);
    expect(lease.request()).not.toBeNull();
    begin(20, 2);
    lease.spend(20, 3, 0);
    expect(lease.startRenewal(3)).toBe(false);
  });

  test('is not sent for a caller that has become too slow', () => {
    beginSteady(1_000);
    expect(lease.startRenewal(lifeMs - 1)).toBe(true);
    lease.endIfOver(lifeMs);
    lease.spend(1, 10 * lifeMs, 0);
    expect(lease.renew()).toBeNull();
    expect(lease.startRenewal(10 * lifeMs)).toBe(false);
  });
});

test('a steady caller waits for Redis until its first lease only, from 20 to 5,000 requests a second, with jitter', () => {
  const rateArb = fc.record({
    gapMs: fc.oneof(fc.constantFrom(50, 40, 20, 5, 1, 0.2), fc.double({ min: 0.2, max: 50, noNaN: true })),
    jitters: fc.array(fc.double({ min: -0.1, max: 0.1, noNaN: true }), { minLength: 1, maxLength: 50 }),
    delayMs: fc.double({ min: 0, max: 12, noNaN: true }),
  });
  fc.assert(
    fc.property(rateArb, ({ gapMs, jitters, delayMs }) => {
      reset();
      let [requests, pending]: [number, { units: number; sentAtMs: number } | null] = [0, null];
      for (let check = 0; check * gapMs < 4_000; check += 1) {
        const nowMs = (check + jitters[check % jitters.length]!) * gapMs;
        if (pending !== null && nowMs >= pending.sentAtMs + delayMs) {
          begin(pending.units, pending.sentAtMs);
          pending = null;
        }
        if (lease.spend(1, nowMs, 0) === null) {
          expect(nowMs).toBeLessThan(2 * lifeMs + 3 * gapMs);
          const request = lease.request();
          if (request !== null) pending = { units: request.units, sentAtMs: nowMs };
        } else if (lease.startRenewal(nowMs)) {
          const request = lease.renew();
          if (request !== null) pending = { units: request.units, sentAtMs: nowMs };
          requests += 1;
        }
      }
      expect(requests).toBeGreaterThan(4_000 / lifeMs - 4);
      expect(requests).toBeLessThan(Math.min(4_000 / 2.5 / gapMs, (2 * 4_000) / lifeMs) + 10);
    }),
  );
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
      reset();
      let [nowMs, granted, spent, endsAtMs] = [0, 0, 0, -1];
      for (const { wait, cost, delay, grants } of steps) {
        nowMs += wait;
        const isPaid = lease.spend(cost, nowMs, 0) !== null;
        if (isPaid) {
          expect(nowMs).toBeLessThan(endsAtMs);
          spent += cost;
          if (!lease.startRenewal(nowMs)) continue;
        }
        const request = isPaid ? lease.renew() : lease.request();
        if (request === null) continue;
        expect(request.heldUnits).toBe(granted - spent - unspentUnits());
        const sentAtMs = nowMs;
        nowMs += delay;
        const units = Math.min(request.units, grants);
        if (units < leaseUnitsMin) {
          lease.notGranted();
          continue;
        }
        granted += units;
        endsAtMs = sentAtMs + lifeMs;
        begin(units, sentAtMs);
      }
      lease.endIfOver(nowMs, true);
      expect(spent + unspentUnits()).toBe(granted);
    }),
  );
});

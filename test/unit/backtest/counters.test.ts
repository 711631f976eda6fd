import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkWindows } from '../../../shared/backtest/replay/check-windows.ts';
import { Counters } from '../../../shared/backtest/replay/counters.ts';
import { LaterSteps } from '../../../shared/backtest/replay/later-steps.ts';
import type { CalendarPeriod, Limit } from '../../../shared/domain/limit.ts';
import { shapeOf } from '../../../shared/redis/decision/windows.ts';
import { WindowModel, mostInAnySpan } from '../../integration/redis/model.ts';

const seed = Date.now() % 1_000_000_000;
console.log(`backtest: fast-check seed ${seed}`);

const dayMs = 86_400_000;
const startMs = Date.UTC(2026, 2, 28, 23, 59, 58);

function limitOf(limit: Partial<Limit>): Limit {
  return {
    name: 'limit',
    of: 'requests',
    per: ['tenant'],
    type: 'sliding',
    limit: 10,
    windowMs: 100,
    period: null,
    burst: 0,
    mode: 'enforce',
    route: null,
    ...limit,
  };
}

/** Decides requests of one tenant under these limits with the counters of a backtest. */
function decider(limits: readonly Limit[]): (cost: number, atMs: number) => readonly string[] {
  const counters = new Counters(1_000_000);
  const shape = shapeOf(limits, true, false, 'UTC');
  return (cost, atMs) => {
    const { limitedBy, passed } = checkWindows(shape, [cost], atMs, (index) => {
      const window = shape.windows[index]!;
      const before = shape.windows[index - 1];
      const carried = before?.counts === 'carried' ? before : null;
      return counters.counterOf('acme', window, carried, shape.calendars[index] ?? 'UTC');
    });
    expect(passed).toBe(
      !limitedBy.some((name) => limits.find((one) => one.name === name)?.mode === 'enforce'),
    );
    return limitedBy;
  };
}

const sliding = fc.record({
  limit: fc.integer({ min: 0, max: 30 }),
  windowMs: fc.integer({ min: 1, max: 120 }),
  burst: fc.constantFrom(0, 0, 1, 7),
  mode: fc.constantFrom('enforce' as const, 'enforce' as const, 'shadow' as const),
});
const quota = fc.record({
  type: fc.constant('quota' as const),
  period: fc.constantFrom<CalendarPeriod>('hour', 'day', 'month'),
  limit: fc.integer({ min: 0, max: 60 }),
  windowMs: fc.constant(dayMs),
});
const requests = fc.array(
  fc.record({
    afterMs: fc.oneof(fc.constant(0), fc.nat(4), fc.nat(60)),
    cost: fc.integer({ min: 1, max: 6 }),
  }),
  { minLength: 20, maxLength: 120 },
);

test('any sequence of requests is decided as by the list of all admitted units, under several limits at once', () => {
  fc.assert(
    fc.property(
      fc.array(sliding, { maxLength: 3 }),
      fc.array(quota, { maxLength: 2 }),
      requests,
      (some, quotas, sent) => {
        const limits = [...some, ...quotas].map((limit, index) =>
          limitOf({ ...limit, name: `limit${index}` }),
        );
        const decide = decider(limits);
        const models = limits.map((limit) => new WindowModel(limit, startMs));
        let atMs = startMs;
        for (const { afterMs, cost } of sent) {
          atMs += afterMs;
          const full = models.filter((model) => !model.hasRoom(cost, atMs));
          expect(decide(cost, atMs)).toEqual(full.map(({ limit }) => limit.name));
          if (full.some(({ limit }) => limit.mode === 'enforce')) continue;
          for (const model of models) if (!full.includes(model)) model.charge(cost, atMs);
        }
      },
    ),
    { numRuns: 500, seed },
  );
});

test('a large limit, whose entries are merged, never admits more than its units in any span', () => {
  const limit = limitOf({ limit: 1_500, windowMs: 640 });
  fc.assert(
    fc.property(requests, (sent) => {
      const decide = decider([limit]);
      const admitted: { atMs: number; units: number }[] = [];
      let atMs = startMs;
      for (const { afterMs, cost } of sent) {
        atMs += afterMs;
        const units = cost * 60;
        if (decide(units, atMs).length === 0) admitted.push({ atMs, units });
      }
      expect(mostInAnySpan(admitted, limit.windowMs)).toBeLessThanOrEqual(limit.limit);
    }),
    { numRuns: 200, seed },
  );
});

test('Redis rounds the time of a decision down and stored timestamps up: a unit counts until its full span has passed', () => {
  const decide = decider([limitOf({ limit: 1, windowMs: 100 })]);
  expect(decide(1, startMs + 0.4)).toEqual([]);
  expect(decide(1, startMs + 100.9)).toEqual(['limit']);
  expect(decide(1, startMs + 101)).toEqual([]);
  expect(decide(1, startMs + 200.999)).toEqual(['limit']);
  expect(decide(1, startMs + 201)).toEqual([]);
});

test('a quota carries unused units of the period before over, up to its maximum, and only if the period had usage', () => {
  const day = {
    type: 'quota',
    period: 'day',
    windowMs: dayMs,
    limit: 10,
    carryOver: { base: 10, most: 4 },
  } as const;
  const decide = decider([limitOf(day)]);
  const noonMs = Date.UTC(2026, 2, 10, 12);
  const use = (atMs: number, count: number): number =>
    Array.from({ length: count }).filter(() => decide(1, atMs).length === 0).length;
  expect(use(noonMs, 20)).toBe(10);
  expect(use(noonMs + dayMs, 8), 'nothing is left').toBe(8);
  expect(use(noonMs + 2 * dayMs, 20), 'two are left').toBe(12);
  expect(use(noonMs + 3 * dayMs, 1)).toBe(1);
  expect(use(noonMs + 4 * dayMs, 20), 'nine are left, four are carried over').toBe(14);
  expect(use(noonMs + 6 * dayMs, 20), 'the day before had no usage').toBe(10);
});

test('later steps run in order of time, each once', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 60 }), fc.array(fc.nat(50)), (times, until) => {
      const steps = new LaterSteps();
      const ran: number[] = [];
      for (const atMs of times) steps.add(atMs, (at) => ran.push(at));
      for (const nowMs of until.toSorted((a, b) => a - b)) {
        steps.runUntil(nowMs);
        expect(ran).toEqual(times.filter((atMs) => atMs <= nowMs).toSorted((a, b) => a - b));
      }
    }),
    { seed },
  );
});

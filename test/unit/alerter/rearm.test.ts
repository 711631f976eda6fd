// Goal: a reset or a raised limit makes a quota tell anew, once for each crossing, whatever is repeated or read again.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evaluateQuota } from '../../../services/alerter/evaluate.ts';
import { createAlertHistory } from '../../../services/alerter/history.ts';
import type { AlertHistory } from '../../../services/alerter/history.ts';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { Limit } from '../../../shared/domain/limit.ts';

const startMs = Date.parse('2026-03-02T00:00:00Z');
const hourMs = 3_600_000;
const span = { startMs, endMs: startMs + 24 * hourMs };
const thresholds = [0.5, 0.8, 1];
const day: Limit = {
  ...{ name: 'day', per: ['tenant'], type: 'quota', limit: 100, windowMs: 86_400_000 },
  ...{ period: 'day', burst: 0, mode: 'enforce', route: null },
};

interface Reading {
  readonly used: number;
  readonly limit?: number;
  readonly resetAtMs?: number | null;
  readonly atMs?: number;
}

/** Judges a reading twice, as a crash would have it, and remembers what the first time told. */
function judge(history: AlertHistory, { used, limit = 100, resetAtMs = null, atMs }: Reading): AlertEvent[] {
  const asOfMs = atMs ?? startMs + hourMs;
  const usage = {
    ...{
      tenantId: 'acme',
      plan: 'free',
      limit: { ...day, limit },
      span,
      used,
      resetAtMs,
      asOfMs,
      growth: null,
    },
  };
  const told = history.of('acme', 'day', new Date(startMs).toISOString());
  const events = evaluateQuota(usage, thresholds, told, asOfMs);
  expect(evaluateQuota(usage, thresholds, told, asOfMs + 1).map(({ id }) => id)).toEqual(
    events.map(({ id }) => id),
  );
  for (const event of [...events, ...events.toReversed()]) history.add(event);
  return events;
}

const said = (events: readonly AlertEvent[]) => events.map(({ kind, threshold }) => `${kind} ${threshold}`);

describe('a raised limit', () => {
  test('tells that there is room again, and what is crossed of the new limit, with ids of its own', () => {
    const history = createAlertHistory();
    const before = [50, 80, 100].flatMap((used) => judge(history, { used }));
    expect(said(before)).toEqual(['threshold 0.5', 'threshold 0.8', 'exceeded 1']);
    const raised = [100, 120, 160, 199, 200, 200].flatMap((used) => judge(history, { used, limit: 200 }));
    expect(said(raised)).toEqual(['recovered 1', 'threshold 0.8', 'exceeded 1']);
    const ids = [...before, ...raised].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('of a quota that was not used up rearms what is above the share that is left, and nobody is told of that', () => {
    const history = createAlertHistory();
    judge(history, { used: 85 });
    expect(said(judge(history, { used: 85, limit: 120 }))).toEqual(['rearmed 1']);
    expect(said(judge(history, { used: 90, limit: 120 }))).toEqual([]);
    expect(said(judge(history, { used: 96, limit: 120 }))).toEqual(['threshold 0.8']);
  });

  test('by so little that a threshold stays crossed tells nothing', () => {
    const history = createAlertHistory();
    judge(history, { used: 85 });
    expect(judge(history, { used: 85, limit: 105 })).toEqual([]);
    expect(judge(history, { used: 88, limit: 105 })).toEqual([]);
  });

  test('that ends again tells of the old limit once more, since there was room in between', () => {
    const history = createAlertHistory();
    const told = [
      ...judge(history, { used: 100 }),
      ...judge(history, { used: 100, limit: 300 }),
      ...judge(history, { used: 110, limit: 100 }),
      ...judge(history, { used: 110, limit: 300 }),
      ...judge(history, { used: 110, limit: 100 }),
    ];
    expect(said(told)).toEqual(['exceeded 1', 'recovered 1', 'exceeded 1', 'recovered 1', 'exceeded 1']);
    expect(new Set(told.map(({ id }) => id)).size).toBe(5);
  });

  test('that was crossed before anybody looked is told of all the same', () => {
    const history = createAlertHistory();
    judge(history, { used: 80 });
    expect(said(judge(history, { used: 180, limit: 200 }))).toEqual(['rearmed 1', 'threshold 0.8']);
  });
});

describe('a reset', () => {
  const resetAtMs = startMs + 2 * hourMs;

  test('tells that there is room again, and every threshold anew', () => {
    const history = createAlertHistory();
    judge(history, { used: 100 });
    const after = [0, 49, 50, 80, 100].flatMap((used) =>
      judge(history, { used, resetAtMs, atMs: resetAtMs + used }),
    );
    expect(said(after)).toEqual(['recovered 1', 'threshold 0.5', 'threshold 0.8', 'exceeded 1']);
  });

  test('that was used up again before anybody looked tells so again', () => {
    const history = createAlertHistory();
    judge(history, { used: 100 });
    expect(said(judge(history, { used: 100, resetAtMs, atMs: resetAtMs }))).toEqual([
      'rearmed 1',
      'exceeded 1',
    ]);
  });

  test('is not undone by an announcement from before what was told', () => {
    const history = createAlertHistory();
    judge(history, { used: 100, atMs: resetAtMs });
    expect(judge(history, { used: 10, resetAtMs, atMs: resetAtMs - 1 })).toEqual([]);
  });
});

test('any story tells each crossing once: after a restart, in any order, from any number of copies', () => {
  const seed = Date.now() % 1_000_000;
  console.log(`rearming: fast-check seed ${seed}`);
  const step = fc.oneof(
    fc.record({ use: fc.nat(60) }),
    fc.record({ limit: fc.integer({ min: 40, max: 400 }) }),
    fc.constant({ reset: true as const }),
    fc.constant({ restart: true as const }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      let history = createAlertHistory();
      const topic: AlertEvent[] = [];
      let [used, limit, atMs] = [0, 100, startMs + hourMs];
      let resetAtMs: number | null = null;
      /** The thresholds that stand, by definition: told, and not below the share since. */
      let standing = new Set<number>();
      for (const one of steps) {
        atMs += 1_000;
        if ('use' in one) used = Math.min(limit, used + one.use);
        else if ('limit' in one) limit = one.limit;
        else if ('reset' in one) [used, resetAtMs] = [0, atMs - 1];
        else {
          history = createAlertHistory();
          for (const event of [...topic.toReversed(), ...topic]) history.add(event);
        }
        const share = used / limit;
        const wasExceeded = standing.has(1);
        const events = judge(history, { used, limit, resetAtMs, atMs });
        topic.push(...events);
        standing = new Set([...standing].filter((threshold) => threshold <= share));
        const crossed = thresholds.filter((threshold) => share >= threshold && !standing.has(threshold));
        // A threshold below one that stands was told with it.
        const fresh = crossed.filter((threshold) => threshold > Math.max(0, ...standing));
        const told = events.find(({ kind }) => kind === 'threshold' || kind === 'exceeded');
        expect(told?.threshold, said(events).join()).toBe(fresh.at(-1));
        expect(events.some(({ kind }) => kind === 'recovered')).toBe(wasExceeded && share < 1);
        for (const threshold of crossed) standing.add(threshold);
      }
      expect(new Set(topic.map(({ id }) => id)).size).toBe(topic.length);
    }),
    { seed, numRuns: 1_000 },
  );
});

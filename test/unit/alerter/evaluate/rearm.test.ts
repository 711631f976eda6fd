// Goal: after a reset or a raised limit, each crossing is sent again exactly once, even if readings are repeated or
// alerts are read again.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evaluateQuota } from '../../../../services/alerter/evaluate/evaluate-quota.ts';
import { createAlertHistory } from '../../../../services/alerter/evaluate/history.ts';
import type { AlertHistory } from '../../../../services/alerter/evaluate/history.ts';
import type { AlertEvent } from '../../../../shared/domain/topics/alert.ts';
import type { Limit } from '../../../../shared/domain/limit.ts';

const startMs = Date.parse('2026-03-02T00:00:00Z');
const hourMs = 3_600_000;
const span = { startMs, endMs: startMs + 24 * hourMs };
const thresholds = [0.5, 0.8, 1];
const day: Limit = {
  ...{ name: 'day', of: 'requests', per: ['tenant'], type: 'quota', limit: 100, windowMs: 86_400_000 },
  ...{ period: 'day', burst: 0, mode: 'enforce', route: null },
};

interface Reading {
  readonly used: number;
  readonly limit?: number;
  readonly resetAtMs?: number | null;
  readonly atMs?: number;
}

/** Evaluates a reading twice, as after a crash, and adds the alerts of the first evaluation to the history. */
function evaluateReading(
  history: AlertHistory,
  { used, limit = 100, resetAtMs = null, atMs }: Reading,
): AlertEvent[] {
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
      quantity: { name: 'requests', decimals: 0 },
      currency: null,
      growth: null,
    },
  };
  const sent = history.of('acme', 'day', new Date(startMs).toISOString());
  const events = evaluateQuota(usage, thresholds, sent, asOfMs);
  expect(evaluateQuota(usage, thresholds, sent, asOfMs + 1).map(({ id }) => id)).toEqual(
    events.map(({ id }) => id),
  );
  for (const event of [...events, ...events.toReversed()]) history.add(event);
  return events;
}

const kindsOf = (events: readonly AlertEvent[]) =>
  events.map(({ kind, threshold }) => `${kind} ${threshold}`);

describe('a raised limit', () => {
  test('sends a recovery and the thresholds crossed of the new limit, with new ids', () => {
    const history = createAlertHistory();
    const before = [50, 80, 100].flatMap((used) => evaluateReading(history, { used }));
    expect(kindsOf(before)).toEqual(['threshold 0.5', 'threshold 0.8', 'exceeded 1']);
    const raised = [100, 120, 160, 199, 200, 200].flatMap((used) =>
      evaluateReading(history, { used, limit: 200 }),
    );
    expect(kindsOf(raised)).toEqual(['recovered 1', 'threshold 0.8', 'exceeded 1']);
    const ids = [...before, ...raised].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('of a quota that was not used up rearms the thresholds above the share in use, without a notification', () => {
    const history = createAlertHistory();
    evaluateReading(history, { used: 85 });
    expect(kindsOf(evaluateReading(history, { used: 85, limit: 120 }))).toEqual(['rearmed 1']);
    expect(kindsOf(evaluateReading(history, { used: 90, limit: 120 }))).toEqual([]);
    expect(kindsOf(evaluateReading(history, { used: 96, limit: 120 }))).toEqual(['threshold 0.8']);
  });

  test('so small that the threshold stays crossed sends nothing', () => {
    const history = createAlertHistory();
    evaluateReading(history, { used: 85 });
    expect(evaluateReading(history, { used: 85, limit: 105 })).toEqual([]);
    expect(evaluateReading(history, { used: 88, limit: 105 })).toEqual([]);
  });

  test('after a small raise keeps a threshold that the limit before the raise had crossed', () => {
    const history = createAlertHistory();
    evaluateReading(history, { used: 91 });
    expect(kindsOf(evaluateReading(history, { used: 101, limit: 101 }))).toEqual(['exceeded 1']);
    // 101 of 201 is more than half: `threshold 0.5` was sent and is still crossed.
    expect(kindsOf(evaluateReading(history, { used: 101, limit: 201 }))).toEqual(['recovered 1']);
    expect(evaluateReading(history, { used: 101, limit: 201 })).toEqual([]);
  });

  test('that ends again sends the thresholds of the old limit again', () => {
    const history = createAlertHistory();
    const sent = [
      ...evaluateReading(history, { used: 100 }),
      ...evaluateReading(history, { used: 100, limit: 300 }),
      ...evaluateReading(history, { used: 110, limit: 100 }),
      ...evaluateReading(history, { used: 110, limit: 300 }),
      ...evaluateReading(history, { used: 110, limit: 100 }),
    ];
    expect(kindsOf(sent)).toEqual(['exceeded 1', 'recovered 1', 'exceeded 1', 'recovered 1', 'exceeded 1']);
    expect(new Set(sent.map(({ id }) => id)).size).toBe(5);
  });

  test('that is crossed before the next reading sends its thresholds even so', () => {
    const history = createAlertHistory();
    evaluateReading(history, { used: 80 });
    expect(kindsOf(evaluateReading(history, { used: 180, limit: 200 }))).toEqual([
      'rearmed 1',
      'threshold 0.8',
    ]);
  });
});

describe('a reset', () => {
  const resetAtMs = startMs + 2 * hourMs;

  test('sends a recovery and then every threshold again', () => {
    const history = createAlertHistory();
    evaluateReading(history, { used: 100 });
    const after = [0, 49, 50, 80, 100].flatMap((used) =>
      evaluateReading(history, { used, resetAtMs, atMs: resetAtMs + used }),
    );
    expect(kindsOf(after)).toEqual(['recovered 1', 'threshold 0.5', 'threshold 0.8', 'exceeded 1']);
  });

  test('after which the quota is used up before the next reading sends `exceeded` again', () => {
    const history = createAlertHistory();
    evaluateReading(history, { used: 100 });
    expect(kindsOf(evaluateReading(history, { used: 100, resetAtMs, atMs: resetAtMs }))).toEqual([
      'rearmed 1',
      'exceeded 1',
    ]);
  });

  test('is not undone by totals older than the last alert', () => {
    const history = createAlertHistory();
    evaluateReading(history, { used: 100, atMs: resetAtMs });
    expect(evaluateReading(history, { used: 10, resetAtMs, atMs: resetAtMs - 1 })).toEqual([]);
  });
});

test('any history sends each crossing once: after a restart, in any order, with any number of repetitions', () => {
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
      /** Limit in the latest alert of a threshold. No alert contains a limit that was raised later. */
      let lastLimit = Infinity;
      /** The active thresholds: each was sent, and the used share has not been below it after that. */
      let activeThresholds = new Set<number>();
      for (const one of steps) {
        atMs += 1_000;
        if ('use' in one) used = Math.max(used, Math.min(limit, used + one.use));
        else if ('limit' in one) limit = one.limit;
        else if ('reset' in one) [used, resetAtMs] = [0, atMs - 1];
        else {
          history = createAlertHistory();
          for (const event of [...topic.toReversed(), ...topic]) history.add(event);
        }
        const share = used / limit;
        const wasExceeded = activeThresholds.has(1);
        const events = evaluateReading(history, { used, limit, resetAtMs, atMs });
        topic.push(...events);
        activeThresholds = new Set([...activeThresholds].filter((threshold) => threshold <= share));
        const crossed = thresholds.filter(
          (threshold) => share >= threshold && !activeThresholds.has(threshold),
        );
        // A threshold below an active threshold needs no alert: the alert of the active threshold included it.
        const fresh = crossed.filter((threshold) => threshold > Math.max(0, ...activeThresholds));
        const sent = events.find(({ kind }) => kind === 'threshold' || kind === 'exceeded');
        // Usage above the limit of the latest alert may be from before or after this raise: both results are right.
        const repeated = used > lastLimit ? thresholds.filter((one) => one > lastLimit / limit) : [];
        expect([fresh.at(-1), ...repeated], kindsOf(events).join()).toContain(sent?.threshold);
        if (sent !== undefined) lastLimit = limit;
        expect(events.some(({ kind }) => kind === 'recovered')).toBe(wasExceeded && share < 1);
        for (const threshold of crossed) activeThresholds.add(threshold);
      }
      expect(new Set(topic.map(({ id }) => id)).size).toBe(topic.length);
    }),
    { seed, numRuns: 1_000 },
  );
});

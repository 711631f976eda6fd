import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { afterAttempt, defaultRetryPlan } from '../../../../services/alerter/deliver/delivery.ts';
import type { Delivery } from '../../../../shared/domain/topics/delivery.ts';
import type { AttemptOutcome } from '../../../../services/alerter/deliver/delivery.ts';
import { alertOf } from './alert-of.ts';

const pending: Delivery = {
  alert: alertOf('acme'),
  channel: 'webhook',
  target_id: 'webhook-1',
  target: 'https://hooks.example/tollgate',
  partition: 0,
  status: 'pending',
  attempts: 0,
  next_attempt_ms: 0,
  created_ms: 0,
  updated_ms: 0,
  error: '',
};
const failed: AttemptOutcome = { kind: 'failed', error: 'answered 500' };
const after = (delivery: Delivery, outcome: AttemptOutcome, nowMs = 1000, random = 0): Delivery =>
  afterAttempt(delivery, outcome, { nowMs, random, plan: defaultRetryPlan });

describe('a delivery', () => {
  test('is final once it is delivered', () => {
    expect(after(pending, { kind: 'delivered' })).toMatchObject({
      status: 'delivered',
      attempts: 1,
      error: '',
    });
  });

  test.each<AttemptOutcome>([
    { kind: 'gone', error: 'answered 410' },
    { kind: 'refused', error: 'is a private or reserved address' },
  ])('is given up at once when its target is $kind', (outcome) => {
    expect(after(pending, outcome)).toMatchObject({
      status: 'dead',
      attempts: 1,
      error: outcome.kind === 'delivered' ? '' : outcome.error,
    });
  });

  test('is retried with growing pauses for about a day and is then given up', () => {
    let delivery = pending;
    let nowMs = 0;
    const waits: number[] = [];
    while (delivery.status === 'pending') {
      delivery = after(delivery, failed, nowMs, 0.999);
      if (delivery.status === 'pending') waits.push(delivery.next_attempt_ms - nowMs);
      nowMs = delivery.next_attempt_ms;
    }
    expect(delivery).toMatchObject({ status: 'dead', attempts: defaultRetryPlan.attemptsMax });
    expect(waits).toEqual(waits.toSorted((a, b) => a - b));
    expect(nowMs / 3_600_000).toBeGreaterThan(20);
    expect(nowMs / 3_600_000).toBeLessThan(30);
  });

  test('respects Retry-After up to the longest pause', () => {
    expect(after(pending, { ...failed, retryAfterMs: 60_000 }).next_attempt_ms).toBe(61_000);
    expect(after(pending, { ...failed, retryAfterMs: 1e12 }).next_attempt_ms).toBe(
      1000 + defaultRetryPlan.capMs,
    );
  });

  test('always ends, and never waits longer than the longest pause', () => {
    const outcomes = fc.array(
      fc.constantFrom<AttemptOutcome>(failed, { ...failed, retryAfterMs: 5e6 }, { kind: 'delivered' }),
      { minLength: 11, maxLength: 11 },
    );
    fc.assert(
      fc.property(outcomes, fc.double({ min: 0, max: 0.999, noNaN: true }), (all, random) => {
        let delivery = pending;
        for (const outcome of all) {
          if (delivery.status !== 'pending') break;
          delivery = after(delivery, outcome, 0, random);
          expect(delivery.next_attempt_ms).toBeLessThanOrEqual(defaultRetryPlan.capMs);
        }
        expect(delivery.status).not.toBe('pending');
      }),
    );
  });
});

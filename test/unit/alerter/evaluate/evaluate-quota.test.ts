import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  evaluateQuota,
  exhaustionOf,
  recovered,
} from '../../../../services/alerter/evaluate/evaluate-quota.ts';
import type { QuotaUsage } from '../../../../services/alerter/evaluate/evaluate-quota.ts';
import { wordingOf } from '../../../../services/alerter/deliver/wording.ts';
import { createAlertHistory } from '../../../../services/alerter/evaluate/history.ts';
import type { AlertHistory } from '../../../../services/alerter/evaluate/history.ts';
import type { AlertEvent } from '../../../../shared/domain/topics/alert.ts';
import { periodAt } from '../../../../shared/domain/time/calendar.ts';
import type { Limit } from '../../../../shared/domain/limit.ts';

const day: Limit = {
  name: 'day',
  of: 'requests',
  per: ['tenant'],
  type: 'quota',
  limit: 100,
  windowMs: 86_400_000,
  period: 'day',
  burst: 0,
  mode: 'enforce',
  route: null,
};
const startMs = Date.parse('2026-03-02T00:00:00Z');
const hourMs = 3_600_000;
const thresholds = [0.5, 0.8, 0.9, 1];

function usage(used: number, atMs = startMs + hourMs, changes: Partial<QuotaUsage> = {}): QuotaUsage {
  return {
    tenantId: 'acme',
    plan: 'free',
    limit: day,
    quantity: { name: 'requests', decimals: 0 },
    currency: null,
    span: periodAt('day', null, atMs),
    used,
    resetAtMs: null,
    asOfMs: atMs,
    growth: null,
    ...changes,
  };
}

/** Evaluates a reading as the alerter does, and adds the alerts to the history. */
function evaluateReading(history: AlertHistory, reading: QuotaUsage, shares = thresholds): AlertEvent[] {
  const sent = history.of(reading.tenantId, reading.limit.name, new Date(reading.span.startMs).toISOString());
  const events = evaluateQuota(reading, shares, sent, reading.asOfMs);
  events.forEach((event) => history.add(event));
  return events;
}

describe('quotas of other quantities', () => {
  const spend = {
    limit: { ...day, name: 'spend', of: 'usd', limit: 5 },
    quantity: { name: 'usd', decimals: 6 },
  };

  test('money is stated in the currency of the policy, also when the quota has room again', () => {
    const history = createAlertHistory();
    const [used] = evaluateReading(history, usage(5, startMs + hourMs, { ...spend, currency: 'EUR' }));
    expect(used).toMatchObject({ kind: 'exceeded', quantity: 'usd', currency: 'EUR' });
    expect(wordingOf(used!).lines[0]).toContain('5.00 of 5 EUR used');
    const [again] = evaluateReading(history, usage(1, startMs + 2 * hourMs, { ...spend, currency: 'EUR' }));
    expect(wordingOf(again!).lines[0]).toBe('1.00 of 5 EUR used.');
  });

  test('an alert states amounts in the unit of the quantity, with its name', () => {
    const [alert] = evaluateReading(createAlertHistory(), usage(4, startMs + hourMs, spend));
    expect(alert).toMatchObject({ threshold: 0.8, limit: 5, used: 4, quantity: 'usd', decimals: 6 });
    expect(wordingOf(alert!).lines[0]).toContain('4.00 of 5 usd used');
  });

  test('also when the quota has room again, and for quantities without decimals', () => {
    const history = createAlertHistory();
    const tokens = { limit: { ...day, of: 'tokens' }, quantity: { name: 'tokens', decimals: 0 } };
    expect(evaluateReading(history, usage(100, startMs + hourMs, tokens))).toMatchObject([
      { kind: 'exceeded', quantity: 'tokens' },
    ]);
    const [again] = evaluateReading(history, usage(90, startMs + 2 * hourMs, tokens));
    expect(again).toMatchObject({ kind: 'recovered', quantity: 'tokens' });
    expect(wordingOf(again!).lines[0]).toBe('90 of 100 tokens used.');
  });

  test('a forecast is computed in the same unit', () => {
    const reading = usage(2, startMs + hourMs, { ...spend, growth: { by: 1, overMs: hourMs } });
    const [alert] = evaluateReading(createAlertHistory(), reading, []);
    expect(alert).toMatchObject({
      kind: 'forecast',
      exhausted_at: new Date(startMs + 4 * hourMs).toISOString(),
    });
  });

  test('small amounts are written with all decimals', () => {
    const small = { ...spend, limit: { ...spend.limit, limit: 0.05 } };
    const [alert] = evaluateReading(createAlertHistory(), usage(0.04125, startMs + hourMs, small));
    expect(wordingOf(alert!).lines[0]).toContain('0.041250 of 0.05 usd used');
  });
});

describe('B7: thresholds', () => {
  test('no alert is sent below the first', () => {
    expect(evaluateReading(createAlertHistory(), usage(49))).toEqual([]);
  });

  test('each is sent when it is reached, 100 % as `exceeded`', () => {
    const history = createAlertHistory();
    const sent = [50, 79, 80, 85, 95, 100, 100].flatMap((used) => evaluateReading(history, usage(used)));
    expect(sent.map(({ kind, threshold, used }) => [kind, threshold, used])).toEqual([
      ['threshold', 0.5, 50],
      ['threshold', 0.8, 80],
      ['threshold', 0.9, 95],
      ['exceeded', 1, 100],
    ]);
  });

  test('of several crossed at once the highest is sent and names the others, which get no alert of their own', () => {
    const history = createAlertHistory();
    const [event, ...others] = evaluateReading(history, usage(95));
    expect(others).toEqual([]);
    expect(event).toMatchObject({ threshold: 0.9, also_crossed: [0.5, 0.8] });
    expect(evaluateReading(history, usage(60))).toEqual([]);
  });

  test('changed thresholds send nothing below a threshold that was sent in the period', () => {
    const history = createAlertHistory();
    evaluateReading(history, usage(90));
    expect(evaluateReading(history, usage(92), [0.6, 0.7, 0.95])).toEqual([]);
    expect(evaluateReading(history, usage(96), [0.6, 0.7, 0.95])).toMatchObject([{ threshold: 0.95 }]);
  });

  test('the next period starts again, with other ids', () => {
    const history = createAlertHistory();
    const [today] = evaluateReading(history, usage(80));
    const [tomorrow] = evaluateReading(history, usage(80, startMs + 25 * hourMs));
    expect(tomorrow).toMatchObject({ threshold: 0.8, period: '2026-03-03T00:00:00.000Z' });
    expect(tomorrow?.id).not.toBe(today?.id);
  });

  test('a limit of 0 sends no alert', () => {
    expect(evaluateReading(createAlertHistory(), usage(3, startMs, { limit: { ...day, limit: 0 } }))).toEqual(
      [],
    );
  });
});

describe('once for each tenant, limit, period and threshold', () => {
  const readings = fc.array(
    fc.record({
      tenantId: fc.constantFrom('acme', 'beta'),
      limit: fc.constantFrom(day, { ...day, name: 'chat', limit: 40 }),
      used: fc.integer({ min: 0, max: 130 }),
      atMs: fc.integer({ min: startMs, max: startMs + 72 * hourMs }),
    }),
    { maxLength: 60 },
  );
  const read = ({
    tenantId,
    limit,
    used,
    atMs,
  }: {
    tenantId: string;
    limit: Limit;
    used: number;
    atMs: number;
  }) => usage(used, atMs, { tenantId, limit });
  const cellOf = ({ tenant_id, limit_name, period, threshold, kind }: AlertEvent) =>
    JSON.stringify([tenant_id, limit_name, period, kind === 'recovered' ? kind : threshold]);

  test('in any order of readings, with repetitions and replays after restarts', () => {
    fc.assert(
      fc.property(readings, fc.array(fc.nat(59), { maxLength: 8 }), (all, restarts) => {
        const topic: AlertEvent[] = [];
        let history = createAlertHistory();
        for (const [index, reading] of [...all, ...all].entries()) {
          if (restarts.includes(index)) {
            history = createAlertHistory();
            // The alerts are read again in another order, and twice. The result must be the same.
            for (const event of [...topic.toReversed(), ...topic]) history.add(event);
          }
          topic.push(...evaluateReading(history, read(reading)));
        }
        expect(new Set(topic.map(cellOf)).size).toBe(topic.length);
        expect(new Set(topic.map(({ id }) => id)).size).toBe(topic.length);
      }),
    );
  });

  test('and every threshold reached is sent, by itself or with a higher one', () => {
    fc.assert(
      fc.property(readings, (all) => {
        const history = createAlertHistory();
        const events = all.flatMap((reading) => evaluateReading(history, read(reading)));
        for (const reading of all.map(read)) {
          const reached =
            thresholds.filter((share) => reading.used / reading.limit.limit >= share).at(-1) ?? 0;
          const sent = history.of(
            reading.tenantId,
            reading.limit.name,
            new Date(reading.span.startMs).toISOString(),
          );
          const highest = Math.max(0, ...(sent?.sentThresholds ?? []).map(({ threshold }) => threshold));
          expect(highest).toBeGreaterThanOrEqual(reached);
        }
        for (const { used, limit, threshold, kind } of events) {
          if (kind === 'threshold' || kind === 'exceeded')
            expect(used / limit).toBeGreaterThanOrEqual(threshold);
        }
      }),
    );
  });
});

describe('a recovery', () => {
  test('is sent once when a reset or a higher limit leaves room again', () => {
    const history = createAlertHistory();
    evaluateReading(history, usage(100));
    const later = startMs + 2 * hourMs;
    expect(evaluateReading(history, usage(100, later, { limit: { ...day, limit: 200 } }))).toMatchObject([
      { kind: 'recovered', used: 100, limit: 200 },
    ]);
    expect(evaluateReading(history, usage(110, later + 1, { limit: { ...day, limit: 200 } }))).toEqual([]);
  });

  test('is not sent for a reading older than the one that exceeded the limit', () => {
    const history = createAlertHistory();
    evaluateReading(history, usage(100, startMs + hourMs));
    expect(evaluateReading(history, usage(99, startMs + hourMs - 1))).toEqual([]);
  });

  test('is due for a limit exceeded in a period that is over, until it is sent', () => {
    const history = createAlertHistory();
    evaluateReading(history, usage(100));
    evaluateReading(history, usage(90, startMs + hourMs, { tenantId: 'beta' }));
    const over = startMs + 24 * hourMs;
    expect(history.exceededAndOver(over - 1)).toEqual([]);
    const [sent, ...others] = history.exceededAndOver(over);
    expect(others).toEqual([]);
    history.add(recovered(sent!, sent!.limit, 0, over, over));
    expect(history.exceededAndOver(over)).toEqual([]);
  });
});

describe('C8: time to exhaustion', () => {
  const growth = { by: 10, overMs: hourMs };

  test('follows from the recent rate', () => {
    expect(exhaustionOf(usage(60, startMs + 10 * hourMs, { growth }), startMs + 10 * hourMs)).toBe(
      startMs + 14 * hourMs,
    );
  });

  test.each([
    ['the period ends before', usage(20, startMs + 20 * hourMs, { growth })],
    ['nothing was used lately', usage(60, startMs, { growth: { by: 0, overMs: hourMs } })],
    ['the rate is not known', usage(60)],
    ['it is used up', usage(100, startMs, { growth })],
  ])('is not isForecastSent when %s', (_, reading) => {
    expect(exhaustionOf(reading, reading.asOfMs)).toBeNull();
  });

  test('is sent once, before a threshold is crossed', () => {
    const history = createAlertHistory();
    const atMs = startMs + 5 * hourMs;
    expect(evaluateReading(history, usage(30, atMs, { growth }))).toMatchObject([
      { kind: 'forecast', exhausted_at: '2026-03-02T12:00:00.000Z' },
    ]);
    expect(evaluateReading(history, usage(31, atMs + 1, { growth }))).toEqual([]);
  });

  test('is part of a threshold alert, after which no forecast is sent', () => {
    const history = createAlertHistory();
    const atMs = startMs + 5 * hourMs;
    expect(evaluateReading(history, usage(55, atMs, { growth }))).toMatchObject([
      { kind: 'threshold', exhausted_at: '2026-03-02T09:30:00.000Z' },
    ]);
    expect(evaluateReading(history, usage(56, atMs + 1, { growth }))).toEqual([]);
  });

  test('always lies between now and the end of the period', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 200 }),
        fc.integer({ min: 0, max: 1000 }),
        fc.integer({ min: 1, max: hourMs }),
        fc.integer({ min: startMs, max: startMs + 24 * hourMs - 1 }),
        (used, by, overMs, nowMs) => {
          const atMs = exhaustionOf(usage(used, nowMs, { growth: { by, overMs } }), nowMs);
          if (atMs === null) return;
          expect(atMs).toBeGreaterThan(nowMs);
          expect(atMs).toBeLessThan(startMs + 24 * hourMs);
        },
      ),
    );
  });
});

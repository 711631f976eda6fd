// When clocks disagree, every process selects the same clock, and never a clock with which no other agrees.
import { Registry } from 'prom-client';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { agreeOnTime } from '../../../shared/runtime/time/agree-on-time.ts';
import { createAgreedClock } from '../../../shared/runtime/time/agreed-clock.ts';
import type { AgreedClock, ClockSource } from '../../../shared/runtime/time/agreed-clock.ts';
import { createLifecycle } from '../../../shared/runtime/lifecycle.ts';
import type { Lifecycle } from '../../../shared/runtime/lifecycle.ts';
import { eventually } from '../../support/servers.ts';

const minuteMs = 60_000;

/** Readings in their order of trust. The argument states how far each clock is ahead. */
function readings(ahead: Readonly<Record<string, number>>) {
  return Object.entries(ahead).map(([name, baseMs]) => ({ name, baseMs }));
}

describe('of several clocks the largest group that agrees is believed', () => {
  test.each([
    { clocks: { node: 0, redis: 20, kafka: -30 }, believed: 'node', wrong: [] },
    { clocks: { node: -15 * minuteMs, redis: 0, kafka: 900 }, believed: 'redis', wrong: ['node'] },
    { clocks: { node: 0, redis: 60 * minuteMs, kafka: 900 }, believed: 'node', wrong: ['redis'] },
    { clocks: { node: 0, redis: 0, kafka: -minuteMs }, believed: 'node', wrong: ['kafka'] },
    // No two clocks agree: no clock is used, and all are named as wrong.
    {
      clocks: { node: 0, redis: 60 * minuteMs, kafka: -minuteMs },
      believed: null,
      wrong: ['node', 'redis', 'kafka'],
    },
    { clocks: { node: 0, redis: 60 * minuteMs }, believed: null, wrong: ['node', 'redis'] },
    // Two clocks contradict two others: the group with the node's clock is used.
    {
      clocks: { node: 0, redis: minuteMs, kafka: minuteMs, clickhouse: 10 },
      believed: 'node',
      wrong: ['redis', 'kafka'],
    },
    { clocks: { node: 0, kafka: minuteMs, clickhouse: minuteMs }, believed: 'kafka', wrong: ['node'] },
    // There is no other clock to compare with.
    { clocks: { node: 0 }, believed: null, wrong: [] },
  ])('$clocks: $believed', ({ clocks, believed, wrong }) => {
    const agreement = agreeOnTime(readings(clocks), []);
    expect(agreement.believed?.name ?? null).toBe(believed);
    expect(agreement.wrong).toEqual(wrong);
  });

  test('a clock that was wrong is right again within a second, not at the edge', () => {
    const clocks = readings({ node: -4_000, redis: 0, kafka: 0 });
    expect(agreeOnTime(clocks, []).wrong).toEqual([]);
    expect(agreeOnTime(clocks, ['node']).wrong).toEqual(['node']);
    expect(agreeOnTime(readings({ node: -900, redis: 0, kafka: 0 }), ['node']).wrong).toEqual([]);
  });
});

describe('the clock that is used', () => {
  let clock: AgreedClock;
  let lifecycle: Lifecycle;
  let lines: string[];
  afterEach(() => lifecycle.close());

  /**
   * Starts a clock with servers. `ahead` states how far each clock is ahead of this machine; null means that the server
   * does not respond. A test may change `ahead` later.
   */
  function started(ahead: Record<string, number | null>): AgreedClock {
    lines = [];
    const write = (line: string): void => void lines.push(line);
    const logger = pino({ level: 'info' }, { write });
    lifecycle = createLifecycle(logger);
    clock = createAgreedClock({
      lifecycle,
      registry: new Registry(),
      logger,
      own: { now: () => Date.now() + (ahead['node'] ?? 0) },
      intervalMs: 10,
    });
    const sources = Object.keys(ahead).filter((name) => name !== 'node');
    clock.compareWith(
      sources.map((name): ClockSource => ({
        name,
        read: () =>
          ahead[name] === null
            ? Promise.reject(new Error('away'))
            : Promise.resolve(Date.now() + (ahead[name] ?? 0)),
      })),
    );
    return clock;
  }

  const aheadMs = (): number => clock.now() - Date.now();

  test('it is corrected, goes on where a clock is set, and goes back to the own one when that is right', async () => {
    const ahead: Record<string, number | null> = { node: -15 * minuteMs, redis: 0, kafka: 0 };
    started(ahead);
    await clock.untilAgreed(5_000);
    expect(Math.abs(aheadMs())).toBeLessThan(1_000);
    ahead['node'] = 90 * minuteMs;
    expect(Math.abs(aheadMs())).toBeLessThan(1_000);
    ahead['node'] = 0;
    await eventually(() => clock.notes().length === 0);
    expect(Math.abs(aheadMs())).toBeLessThan(1_000);
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg.replace(/-?\d+/, 'N'))).toEqual([
      'clocks: node is N s off; the time of redis and kafka is used',
      'the clocks agree again',
    ]);
  });

  test('without servers it is the own one, which may then be set without a change', async () => {
    const ahead: Record<string, number | null> = { node: 0, redis: null, kafka: null };
    started(ahead);
    ahead['node'] = 60 * minuteMs;
    await clock.untilAgreed(100);
    expect(Math.abs(aheadMs())).toBeLessThan(1_000);
    expect(lines.filter((line) => line.includes('clocks:'))).toEqual([]);
    expect(lines.filter((line) => line.includes('clock of redis cannot be read'))).toHaveLength(1);
    // The servers respond now and confirm the time to which the node's clock was set.
    ahead['redis'] = ahead['kafka'] = 60 * minuteMs;
    await eventually(() => Math.abs(aheadMs() - 60 * minuteMs) < 1_000);
  });

  test('where no two agree the time before is kept, and it is said once', async () => {
    const ahead: Record<string, number | null> = { node: 0, redis: 0, kafka: 0 };
    started(ahead);
    await clock.untilAgreed(5_000);
    ahead['redis'] = 60 * minuteMs;
    ahead['node'] = -30 * minuteMs;
    await eventually(() => clock.notes().join().includes('no two agree'));
    expect(Math.abs(aheadMs())).toBeLessThan(1_000);
    expect(lines).toHaveLength(1);
  });
});

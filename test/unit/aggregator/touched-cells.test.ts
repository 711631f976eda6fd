// Goal: many old events of one tenant do not increase the cost of deriving the totals of the other tenants in a block.
import fc from 'fast-check';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createAggregator } from '../../../services/aggregator/aggregator.ts';
import { createWaitingCorrections } from '../../../services/aggregator/corrections/waiting-corrections.ts';
import { decodeBoundsDefault } from '../../../services/aggregator/events/decode.ts';
import { aggregatorMetrics } from '../../../services/aggregator/metrics.ts';
import { allStages } from '../../../shared/kafka/consumer/stages.ts';
import type { TouchedCells } from '../../../shared/clickhouse/derive-totals.ts';

const nowMs = Date.UTC(2026, 10, 21, 12, 0, 30);
const dayMs = 86_400_000;

interface Sent {
  readonly tenant: string;
  readonly timeMs: number;
}

/** The tenants and minutes whose totals the aggregator derives for a block of these events. */
async function derivedFor(sent: readonly Sent[]): Promise<TouchedCells[]> {
  const derived: TouchedCells[] = [];
  const aggregator = createAggregator({
    store: {
      firstPlaces: () => Promise.resolve([]),
      storeFirstPlaces: () => Promise.resolve(),
      findEvents: () => Promise.resolve([]),
      insert: () => Promise.resolve([]),
      findCorrections: () => Promise.resolve([]),
      noteCorrections: () => Promise.resolve(),
      derive: (touched) => {
        derived.push(touched);
        return Promise.resolve();
      },
    },
    announcer: { announce: () => Promise.resolve() },
    progress: {
      sample: () => Promise.resolve(),
      advance: () => undefined,
      restore: () => undefined,
      of: (partition) => ({ partition, completeThroughMs: 0, offset: 0 }),
      all: () => [],
    },
    writeDeadLetters: () => Promise.resolve(),
    clock: { now: () => nowMs },
    bounds: decodeBoundsDefault,
    metrics: aggregatorMetrics(new Registry()),
    waiting: createWaitingCorrections({ waitMs: 0, now: () => 0 }),
  });
  const messages = sent.map(({ tenant, timeMs }, offset) => ({
    topic: 'usage',
    partition: 0,
    offset,
    key: tenant,
    headers: {},
    timestampMs: nowMs,
    value: Buffer.from(
      JSON.stringify({
        specversion: '1.0',
        id: `e${offset}`,
        source: 'app',
        type: 'tokens',
        subject: tenant,
        time: new Date(timeMs).toISOString(),
      }),
    ),
  }));
  await allStages(aggregator)({ messages, isPart: false });
  return derived;
}

const costOf = (derived: readonly TouchedCells[]): number =>
  derived.reduce((sum, { tenantIds, minutes }) => sum + tenantIds.size * minutes.size, 0);

test('C2: a tenant with events on 300 days does not have these days derived for 500 other tenants', async () => {
  const others = Array.from({ length: 500 }, (_, index) => ({ tenant: `t${index}`, timeMs: nowMs }));
  const spread = Array.from({ length: 300 }, (_, day) => ({ tenant: 'spread', timeMs: nowMs - day * dayMs }));
  const derived = await derivedFor([...others, ...spread]);
  expect(costOf(derived)).toBe(500 + 300);
});

test('tenants with events of a few days are derived together', async () => {
  const sent = Array.from({ length: 400 }, (_, index) => ({
    tenant: `t${index % 100}`,
    timeMs: nowMs - (index % 3) * dayMs,
  }));
  expect(await derivedFor(sent)).toHaveLength(1);
});

test('every cell that an event touched is derived, and a block without events derives none', async () => {
  const event = fc.record({
    tenant: fc.constantFrom('a', 'b', 'c'),
    timeMs: fc.integer({ min: 0, max: 300 * 1_440 }).map((minutes) => nowMs - minutes * 60_000),
  });
  const run = await fc.check(
    fc.asyncProperty(fc.array(event, { maxLength: 30 }), async (sent) => {
      const derived = await derivedFor(sent);
      for (const { tenant, timeMs } of sent) {
        const minute = timeMs - (timeMs % 60_000);
        const holds = derived.some(({ tenantIds, minutes }) => tenantIds.has(tenant) && minutes.has(minute));
        expect(holds).toBe(true);
      }
      if (sent.length === 0) expect(derived).toEqual([]);
    }),
    { numRuns: 200 },
  );
  console.log(`touched cells: fast-check seed ${run.seed}`);
  expect(run.failed, JSON.stringify(run.counterexample)).toBe(false);
});

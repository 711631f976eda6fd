import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import { createTally } from '../../shared/runtime/tally.ts';
import { startAtZero } from '../../shared/runtime/zero-counters.ts';

export type Step = 'decode' | 'resolve' | 'insert' | 'dead_letters' | 'derive' | 'announce';

export interface AggregatorMetrics {
  timed<Result>(step: Step, work: () => Result | Promise<Result>): Promise<Result>;
  /** Notes that events with these times are visible in the totals. */
  visible(timesMs: readonly number[], nowMs: number): void;
  /** Notes that every step of a block succeeded. */
  handled(block: { readonly rows: number; readonly dead: number; readonly repeats: number }): void;
  /** False after a block failed, until a block is handled without failure. */
  lastBlockWorked(): boolean;
  /** Sets the number of corrections that wait for their events. */
  waiting(corrections: number): void;
  /** Sets the seconds since the instant up to which every partition is complete. */
  behind(seconds: number): void;
}

export function aggregatorMetrics(registry: Registry): AggregatorMetrics {
  const registers = [registry];
  const rows = new Counter({
    name: 'tollgate_aggregator_rows_total',
    help: 'Rows inserted into the events table, repeats of a redelivered block included.',
    registers,
  });
  const blocks = new Counter({
    name: 'tollgate_aggregator_blocks_total',
    help: 'Blocks of events for which every step succeeded.',
    registers,
  });
  const blockRows = new Histogram({
    name: 'tollgate_aggregator_block_rows',
    help: 'Rows of each block for which every step succeeded.',
    buckets: [1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000],
    registers,
  });
  const steps = new Histogram({
    name: 'tollgate_aggregator_step_seconds',
    help: 'Duration of one step of a block, failed attempts included.',
    labelNames: ['step'],
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const failures = startAtZero(
    new Counter({
      name: 'tollgate_aggregator_step_failures_total',
      help: 'Failed attempts of a step. The block is retried.',
      labelNames: ['step'],
      registers,
    }),
    { step: ['decode', 'resolve', 'insert', 'dead_letters', 'derive', 'announce'] },
  );
  const freshness = createTally({
    name: 'tollgate_aggregator_freshness_seconds',
    help: 'Age of an event when it is first visible in the totals, from its own time.',
    buckets: [0.1, 0.25, 0.5, 0.75, 1, 2, 5, 10, 30, 60, 300, 3_600],
    registry,
  });
  const dead = new Counter({
    name: 'tollgate_aggregator_dead_letters_total',
    help: 'Records of the usage topic that became dead letters.',
    registers,
  });
  const repeats = new Counter({
    name: 'tollgate_aggregator_repeats_total',
    help: 'Events of external producers whose id was stored before, and corrections that were sent again. They change nothing.',
    registers,
  });
  const lag = new Gauge({
    name: 'tollgate_aggregator_lag_seconds',
    help: 'Age of the instant up to which every partition of the usage topic is complete.',
    registers,
  });
  const waiting = new Gauge({
    name: 'tollgate_aggregator_waiting_corrections',
    help: 'Corrections that arrived before their event and wait for it.',
    registers,
  });
  let worked = true;
  return {
    lastBlockWorked: () => worked,
    async timed(step, work) {
      const end = steps.startTimer({ step });
      try {
        return await work();
      } catch (error) {
        failures.inc({ step });
        worked = false;
        throw error;
      } finally {
        end();
      }
    },
    visible(timesMs, nowMs) {
      for (const timeMs of timesMs) freshness.observe(Math.max(0, nowMs - timeMs) / 1000);
    },
    handled(block) {
      worked = true;
      blocks.inc();
      blockRows.observe(block.rows);
      rows.inc(block.rows);
      dead.inc(block.dead);
      repeats.inc(block.repeats);
    },
    waiting: (corrections) => waiting.set(corrections),
    behind: (seconds) => lag.set(seconds),
  };
}

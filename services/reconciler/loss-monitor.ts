import { setTimeout as wait } from 'node:timers/promises';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Logger } from '../../shared/runtime/logger.ts';
import { createOutageLog } from '../../shared/runtime/outage-log.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import type { LossWatch, LostServer } from '../../shared/redis/loss-watch.ts';

/** Looks for lost counters all the time, and has them rebuilt. */
export interface Vigil {
  /** True while the counters are known to be right: Redis answers and every server's marker stands. */
  trusted(): boolean;
  close(): Promise<void>;
}

export interface VigilOptions {
  readonly watch: LossWatch;
  /** Puts every counter right. Rejects when it could not. */
  readonly rebuild: () => Promise<{ readonly counters: number }>;
  readonly registry: Registry;
  readonly logger: Logger;
  readonly intervalMs?: number;
  /** How often a claim is renewed while a rebuild runs; well below what a claim lasts. */
  readonly renewMs?: number;
}

/**
 * Each round: which servers lost their counters → claim them → rebuild → declare them right. Only who holds the claim
 * rebuilds; two that rebuild at once after all (a claim ran out under a slow one) raise to the same values. A round
 * that fails is tried again in the next, so a crash at any point leaves a missing marker, which is where it began.
 */
export function startVigil(options: VigilOptions): Vigil {
  const { watch, rebuild, logger, intervalMs = 250, renewMs = 1_000 } = options;
  const metrics = createMetrics(options.registry);
  const closing = new AbortController();
  let trusted = false;
  const outage = createOutageLog(logger);
  let rebuilding = '';
  const running = run();
  return {
    trusted: () => trusted,
    close: async () => {
      closing.abort();
      await running;
    },
  };

  async function run(): Promise<void> {
    for (let rounds = 0; !closing.signal.aborted; rounds += 1) {
      try {
        trusted = await round();
        outage.worked();
      } catch (error) {
        trusted = false;
        metrics.failures.inc();
        // The very first round may be early.
        if (rounds > 0) outage.failed(error, 'counters could not be checked');
      }
      metrics.trusted.set(trusted ? 1 : 0);
      await wait(intervalMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  }

  async function round(): Promise<boolean> {
    const lost = await watch.lost();
    const claimed: LostServer[] = [];
    for (const server of lost) if ((await watch.claim(server)) === 'claimed') claimed.push(server);
    if (claimed.length === 0) return lost.length === 0;
    const names = claimed.map(({ name }) => name);
    // Tried again four times a second while what it needs is away.
    if (names.join() !== rebuilding) logger.warn({ servers: names }, 'counters were lost: rebuilding them');
    rebuilding = names.join();
    const startedAt = performance.now();
    const { counters } = await renewing(claimed, rebuild);
    const answers = await Promise.all(claimed.map((server) => watch.complete(server)));
    const seconds = (performance.now() - startedAt) / 1000;
    metrics.seconds.observe(seconds);
    metrics.rebuilds.inc();
    logger.info({ servers: names, counters, seconds }, 'counters are right again');
    rebuilding = '';
    return claimed.length === lost.length && answers.every((answer) => answer === 'trusted');
  }

  async function renewing<Result>(
    claimed: readonly LostServer[],
    work: () => Promise<Result>,
  ): Promise<Result> {
    const renew = (): void => {
      // A renewal that fails lets the claim run out, and the rebuild be done by two.
      for (const server of claimed) void watch.renew(server).catch(() => undefined);
    };
    const timer = setInterval(renew, renewMs);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }
}

function createMetrics(registry: Registry) {
  return {
    rebuilds: new Counter({
      name: 'tollgate_rebuilds_total',
      help: 'Times all quota counters were rebuilt from ClickHouse because Redis had lost them.',
      registers: [registry],
    }),
    seconds: new Histogram({
      name: 'tollgate_rebuild_seconds',
      help: 'Seconds from noticing a loss of counters until all of them were right again.',
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60],
      registers: [registry],
    }),
    failures: new Counter({
      name: 'tollgate_counter_checks_failed_total',
      help: 'Rounds of looking for lost counters that failed because Redis or ClickHouse did not answer.',
      registers: [registry],
    }),
    trusted: new Gauge({
      name: 'tollgate_counters_trusted',
      help: 'One while Redis answers and no loss of counters is waiting to be rebuilt, else zero.',
      registers: [registry],
    }),
  };
}

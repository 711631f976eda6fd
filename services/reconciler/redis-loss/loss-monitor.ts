import { Counter, Gauge, Histogram } from 'prom-client';
import type { Logger } from '../../../shared/runtime/logger.ts';
import { createOutageLog } from '../../../shared/runtime/outage-log.ts';
import { repeatUntilClosed } from '../../../shared/runtime/repeat.ts';
import type { Repetition } from '../../../shared/runtime/repeat.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import type { LossWatch, LostServer } from '../../../shared/redis/loss-watch.ts';

/** Detects lost counters in Redis continuously, and starts their rebuild. */
export interface LossMonitor extends Repetition {
  /** True while Redis answers and the marker of every server shows that its counters are complete. */
  trusted(): boolean;
}

export interface LossMonitorOptions {
  readonly watch: LossWatch;
  /** Raises every counter to the units that ClickHouse counts. Rejects when it fails. */
  readonly rebuild: () => Promise<{ readonly counters: number }>;
  readonly registry: Registry;
  readonly logger: Logger;
  readonly intervalMs?: number;
  /** Time between renewals of a claim during a rebuild; much shorter than the time after which a claim expires. */
  readonly renewMs?: number;
}

/**
 * Each round: find the servers that lost their counters → claim them → rebuild → mark them as complete. Only the process that
 * holds the claim rebuilds. If a claim expires during a slow rebuild, two processes raise counters to the same values. After a
 * failed round, the next round does the same work again. After a crash at any point, the marker does not show complete counters,
 * so the rebuild starts again.
 */
export function startLossMonitor(options: LossMonitorOptions): LossMonitor {
  const { watch, rebuild, logger, intervalMs = 250, renewMs = 1_000 } = options;
  const metrics = createMetrics(options.registry);
  let trusted = false;
  const outage = createOutageLog(logger);
  let rebuilding = '';
  let isFirst = true;
  return { trusted: () => trusted, ...repeatUntilClosed(round) };

  async function round(): Promise<number> {
    try {
      trusted = await checkServers();
      outage.worked();
    } catch (error) {
      trusted = false;
      metrics.failures.inc();
      // The first round may run before Redis is connected, so its failure is not logged.
      if (!isFirst) outage.failed(error, 'counters could not be checked for a loss');
    }
    isFirst = false;
    metrics.trusted.set(trusted ? 1 : 0);
    return intervalMs;
  }

  async function checkServers(): Promise<boolean> {
    const lost = await watch.lost();
    const claimed: LostServer[] = [];
    for (const server of lost) if ((await watch.claim(server)) === 'claimed') claimed.push(server);
    if (claimed.length === 0) return lost.length === 0;
    const names = claimed.map(({ name }) => name);
    // While a store is unavailable, a round starts four times a second: only the first of them is logged.
    if (names.join() !== rebuilding)
      logger.warn({ servers: names }, 'counters were lost and are being rebuilt');
    rebuilding = names.join();
    const startedAt = performance.now();
    const { counters } = await whileRenewing(claimed, rebuild);
    const answers = await Promise.all(claimed.map((server) => watch.complete(server)));
    const seconds = (performance.now() - startedAt) / 1000;
    metrics.seconds.observe(seconds);
    metrics.rebuilds.inc();
    logger.info({ servers: names, counters, seconds }, 'counters are rebuilt');
    rebuilding = '';
    return claimed.length === lost.length && answers.every((answer) => answer === 'trusted');
  }

  async function whileRenewing<Result>(
    claimed: readonly LostServer[],
    work: () => Promise<Result>,
  ): Promise<Result> {
    const renew = (): void => {
      // If renewals fail, the claim expires and a second process rebuilds too.
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
      help: 'Seconds from detecting a loss of counters until all of them were rebuilt.',
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60],
      registers: [registry],
    }),
    failures: new Counter({
      name: 'tollgate_counter_checks_failed_total',
      help: 'Checks for lost counters that failed because Redis or ClickHouse did not answer.',
      registers: [registry],
    }),
    trusted: new Gauge({
      name: 'tollgate_counters_trusted',
      help: 'One while Redis answers and no lost counters wait for a rebuild, otherwise zero.',
      registers: [registry],
    }),
  };
}

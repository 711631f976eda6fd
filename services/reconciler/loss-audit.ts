import { Counter, Gauge, Histogram } from 'prom-client';
import { repeatUntilClosed } from '../../shared/runtime/repeat.ts';
import type { Repetition } from '../../shared/runtime/repeat.ts';
import { startAtZero } from '../../shared/runtime/zero-counters.ts';
import type { LossReport } from '../../shared/loss-audit/loss-audit.ts';
import { missingCount } from '../../shared/clickhouse/queries/number-gaps.ts';
import type { LossAuditReport } from '../../shared/domain/operators/process-report.ts';
import type { ProcessReports } from '../../shared/redis/process-reports.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';

export interface LossAuditOptions {
  /** Runs one audit. Rejects when Kafka, ClickHouse or Redis does not answer. */
  readonly audit: () => Promise<LossReport>;
  /** Time from the end of one audit to the start of the next, so two audits never run at once. */
  readonly intervalMs: number;
  readonly reports: Pick<ProcessReports, 'write'>;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
}

/**
 * Repeats the loss audit. Reports losses in metrics, in Redis for the start page of operators, and in the log with the position of
 * each lost record. After a failed audit the metrics keep the last figures; the report says only that it failed.
 */
export function startLossAudit(options: LossAuditOptions): Repetition {
  const { audit, intervalMs, reports, clock, logger } = options;
  const metrics = createMetrics(options.registry);
  return repeatUntilClosed(auditOnce, intervalMs);

  async function auditOnce(): Promise<number> {
    const stop = metrics.seconds.startTimer();
    try {
      const report = await audit();
      record(report);
      await publish(report);
    } catch (error) {
      metrics.runs.inc({ outcome: 'failed' });
      logger.warn({ err: error }, 'the loss audit failed');
      await publish(null);
    }
    stop();
    return intervalMs;
  }

  function record(report: LossReport): void {
    const { lostRecords, missingSequences, setBack, counters, disagreements } = report;
    const sequences = missingCount(missingSequences);
    metrics.missing.set({ kind: 'offset' }, report.lost - sequences);
    metrics.missing.set({ kind: 'sequence' }, sequences);
    // If the counters were not compared, the gauge keeps its last value: zero would mean that no unit is missing.
    if (counters !== null) metrics.missing.set({ kind: 'counter' }, unitsAhead(counters));
    metrics.days.set(disagreements.length);
    metrics.setBack.set(setBack.length);
    metrics.lastSuccess.set(clock.now() / 1000);
    const isClean = report.lost === 0 && disagreements.length === 0 && unitsAhead(counters ?? []) === 0;
    metrics.runs.inc({ outcome: isClean ? 'clean' : 'loss' });
    if (isClean && setBack.length === 0) return;
    const found = { lost: report.lost, lostRecords: lostRecords.slice(0, 20), missingSequences, setBack };
    logger.error(
      { ...found, counters: counters?.slice(0, 20), disagreements },
      'the loss audit found a loss',
    );
  }

  /** `report` is null after a failed audit. A report that Redis does not store is only missing on the start page. */
  async function publish(report: LossReport | null): Promise<void> {
    const found = processReport(report, intervalMs, clock.now());
    try {
      await reports.write(found);
      if (hasLoss(found)) await reports.write({ ...found, kind: 'last-loss' });
    } catch (error) {
      logger.warn({ err: error }, 'the result of the loss audit could not be reported');
    }
  }
}

function processReport(report: LossReport | null, intervalMs: number, nowMs: number): LossAuditReport {
  const counters = report?.counters ?? null;
  return {
    ...{ kind: 'loss-audit', name: '', at: new Date(nowMs).toISOString(), is_failed: report === null },
    ...{ interval_ms: intervalMs, is_cut: report?.cut ?? false },
    lost_events: report?.lost ?? 0,
    units_ahead: counters === null ? null : unitsAhead(counters),
    disagreeing_days: report?.disagreements.length ?? 0,
    spools_set_back: report?.setBack.length ?? 0,
  };
}

function hasLoss({ lost_events, units_ahead, disagreeing_days, spools_set_back }: LossAuditReport): boolean {
  return lost_events + (units_ahead ?? 0) + disagreeing_days + spools_set_back > 0;
}

function unitsAhead(counters: NonNullable<LossReport['counters']>): number {
  return counters.reduce((sum, { redis, clickhouse }) => sum + redis - clickhouse, 0);
}

function createMetrics(registry: Registry) {
  const missing = new Gauge({
    name: 'tollgate_audit_missing_events',
    help: 'What the last loss audit found missing, by kind: offset (events in Kafka and not in ClickHouse), sequence (events numbered by a gateway and in neither), counter (units that Redis counted and ClickHouse did not).',
    labelNames: ['kind'],
    registers: [registry],
  });
  for (const kind of ['offset', 'sequence', 'counter']) missing.set({ kind }, 0);
  return {
    missing,
    days: new Gauge({
      name: 'tollgate_audit_disagreeing_days',
      help: 'Days whose totals do not agree with the stored events, as of the last loss audit.',
      registers: [registry],
    }),
    setBack: new Gauge({
      name: 'tollgate_audit_spools_set_back',
      help: 'Starts of a gateway whose spool was an older copy, or a copy that another node uses, as of the last loss audit.',
      registers: [registry],
    }),
    runs: startAtZero(
      new Counter({
        name: 'tollgate_audit_runs_total',
        help: 'Loss audits, by outcome: clean, loss, or failed because a store did not answer.',
        labelNames: ['outcome'],
        registers: [registry],
      }),
      { outcome: ['clean', 'loss', 'failed'] },
    ),
    seconds: new Histogram({
      name: 'tollgate_audit_seconds',
      help: 'Duration of a loss audit.',
      buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers: [registry],
    }),
    lastSuccess: new Gauge({
      name: 'tollgate_audit_last_success_timestamp_seconds',
      help: 'Unix time of the last loss audit that did not fail; zero before the first.',
      registers: [registry],
    }),
  };
}

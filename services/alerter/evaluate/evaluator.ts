import { LRUCache } from 'lru-cache';
import { Counter, Histogram } from 'prom-client';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { completeReadings } from '../../../shared/clickhouse/queries/consumption/complete-readings.ts';
import type { CompleteReading } from '../../../shared/clickhouse/queries/consumption/complete-readings.ts';
import type { NotificationSettings } from '../../../shared/domain/tenant.ts';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantTotals } from '../../../shared/domain/topics/totals.ts';
import { heartbeatTenant } from '../../../shared/domain/identity.ts';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import type { RejectedMessage } from '../../../shared/kafka/consumer/handling.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { notTotals, readTotals } from '../../../shared/domain/topics/totals.ts';
import { openReading, quotasFor, readingsOf } from '../../../shared/policy/quota-readings.ts';
import type { QuotaReading } from '../../../shared/policy/quota-readings.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import type { AlertLog } from '../alert-log.ts';
import { evaluateQuota, lifted, recovered } from './evaluate-quota.ts';
import type { Heartbeat } from '../heartbeat.ts';
import { createGrowthRates } from './growth-rates.ts';
import type { Growth } from './growth-rates.ts';
import { createRejectionAlerts } from './rejection-alerts.ts';
import { createNearlyUsedUp } from './nearly-used-up.ts';
import { isExceeded } from './sent-alerts.ts';
import type { SentAlerts } from './sent-alerts.ts';
import { startAtZero } from '../../../shared/runtime/zero-counters.ts';

export interface Evaluator {
  /**
   * Evaluates announced totals and writes the alerts that are due to the alerts topic. Returns the unreadable messages.
   * Safe to repeat.
   */
  evaluate(messages: readonly ConsumedMessage[]): Promise<readonly RejectedMessage[]>;
  /**
   * Evaluates tenants again after a change of their record, of a boost, or of the policy. The aggregator announces no
   * totals for such a change. Safe to repeat.
   */
  reevaluate(tenantIds: ReadonlySet<string>): Promise<void>;
  /**
   * Writes `recovered` alerts for exceeded quotas whose period is over. The aggregator announces no totals when a
   * period ends.
   */
  sendRecoveries(): Promise<void>;
}

export interface EvaluatorOptions {
  readonly log: AlertLog;
  readonly tenants: TenantDirectory;
  readonly clickhouse: ClickHouse;
  readonly policy: () => Policy;
  readonly heartbeat: Heartbeat;
  readonly clock: Clock;
  readonly registry: Registry;
}

/** A forecast uses the readings of the last 15 minutes, and needs readings of at least 5 minutes. */
const usageWindowMs = 15 * 60_000;
const forecastMsMin = 5 * 60_000;
const tenantsMax = 50_000;
const totalsMax = 10_000;
/** Delay of recoveries after the end of a period: its last events reach the totals a moment after its end. */
const recoveredAfterMs = 5_000;

export function createEvaluator(options: EvaluatorOptions): Evaluator {
  const { log, tenants, clickhouse, policy, heartbeat, clock, registry } = options;
  const usage = createGrowthRates({ windowMs: usageWindowMs, readingsMax: 15, keysMax: tenantsMax });
  const rejections = createRejectionAlerts({ clickhouse, tenants, history: log.history, clock });
  const metrics = evaluationMetrics(registry, clock);
  /** By tenant: the newest announced totals, for evaluations between two announcements. */
  const latest = new LRUCache<string, TenantTotals>({ max: totalsMax });
  let lastWork: Promise<unknown> = Promise.resolve();
  return {
    evaluate: (messages) => serially(() => evaluate(messages)),
    reevaluate: (tenantIds) => serially(() => reevaluate(tenantIds)),
    sendRecoveries: () => serially(sendRecoveries),
  };

  /**
   * Runs one evaluation at a time, because each must find in the history the alerts that the previous evaluation wrote.
   */
  function serially<Result>(work: () => Promise<Result>): Promise<Result> {
    const next = lastWork.then(work, work);
    lastWork = next.catch(() => undefined);
    return next;
  }

  async function evaluate(messages: readonly ConsumedMessage[]): Promise<readonly RejectedMessage[]> {
    const { announced, rejected } = latestOf(messages);
    metrics.unreadable.inc(rejected.length);
    for (const totals of announced) latest.set(totals.tenant_id, totals);
    const readings = announced.map((totals) => {
      const record = tenants.get(totals.tenant_id) ?? null;
      return readingsOf(totals, policy(), record, Date.parse(totals.announced_at));
    });
    const complete = await completeReadings(clickhouse, readings.flat());
    const alerts: AlertEvent[] = [];
    const evaluated: { totals: TenantTotals; quotas: readonly CompleteReading[] }[] = [];
    let from = 0;
    for (const [index, totals] of announced.entries()) {
      const own = complete.slice(from, (from += readings[index]?.length ?? 0));
      alerts.push(...own.flatMap((reading) => evaluateAnnounced(totals, reading)));
      evaluated.push({ totals, quotas: own });
    }
    alerts.push(...(await rejections.evaluate(evaluated)));
    const heartbeats = announced
      .map((totals) => heartbeat.alertFor(totals))
      .filter((alert) => alert !== null);
    await log.append([...alerts, ...heartbeats]);
    count(alerts);
    for (const { announced_at } of announced) {
      metrics.age.observe((clock.now() - Date.parse(announced_at)) / 1000);
    }
    return rejected;
  }

  async function reevaluate(tenantIds: ReadonlySet<string>): Promise<void> {
    const nowMs = clock.now();
    const plans = new Map([...tenantIds].map((tenantId) => [tenantId, planOf(tenantId)]));
    const readings = [...plans].flatMap(([tenantId, plan]) => readingsNow(tenantId, plan, nowMs));
    const complete = await completeReadings(clickhouse, readings);
    const alerts = complete.flatMap((reading) => {
      // The time of this reading must be later than the times of all alerts sent before, even if the clock of another
      // alerter is ahead.
      const sent = sentAlertsOf(reading);
      const asOfMs = Math.max(nowMs, (sent?.asOfMs ?? 0) + 1);
      return evaluateReading(reading, { plan: plans.get(reading.tenantId) ?? '', asOfMs, growth: null });
    });
    for (const [tenantId, plan] of plans) alerts.push(...liftedOf(tenantId, plan, nowMs));
    await log.append(alerts);
    count(alerts);
  }

  /** Returns `recovered` alerts for exceeded quotas that the tenant's plan or the policy no longer has. */
  function liftedOf(tenantId: string, plan: string | null, nowMs: number): AlertEvent[] {
    const exceeded = log.history
      .ofTenant(tenantId)
      .filter((sent) => sent.periodEndsAtMs > nowMs && isExceeded(sent));
    if (exceeded.length === 0) return [];
    const record = tenants.get(tenantId) ?? null;
    const names = new Set(quotasFor(policy(), { plan, record, nowMs }).map(({ name }) => name));
    return exceeded
      .filter(({ limitName }) => !names.has(limitName))
      .map((sent) => lifted(sent, Math.max(nowMs, sent.asOfMs), nowMs));
  }

  /**
   * Returns readings from the newest announced totals if no alert is newer than these totals. ClickHouse completes the
   * readings whose consumption is unknown.
   */
  function readingsNow(tenantId: string, plan: string | null, nowMs: number): QuotaReading[] {
    const record = tenants.get(tenantId) ?? null;
    const totals = latest.get(tenantId);
    const newestMs = Math.max(0, ...log.history.ofTenant(tenantId).map(({ asOfMs }) => asOfMs));
    if (totals !== undefined && Date.parse(totals.announced_at) >= newestMs) {
      return readingsOf(totals, policy(), record, nowMs);
    }
    if (tenantId === anonymousTenant || tenantId === heartbeatTenant) return [];
    const quotas = quotasFor(policy(), { plan, record, nowMs });
    return quotas.map((quota) => openReading(policy(), tenantId, quota, { record, atMs: nowMs }));
  }

  function planOf(tenantId: string): string | null {
    const planOfAlert = log.history.ofTenant(tenantId).at(-1)?.plan;
    return tenants.get(tenantId)?.plan ?? latest.get(tenantId)?.plan ?? planOfAlert ?? null;
  }

  function evaluateAnnounced(totals: TenantTotals, reading: CompleteReading): AlertEvent[] {
    if (reading.sinceReset === null) return [];
    const asOfMs = Date.parse(totals.announced_at);
    const usageKey = JSON.stringify([reading.tenantId, reading.quota.name, reading.quota.route]);
    // Settlements lower the amounts of open reservations, so only the settled amounts grow steadily.
    usage.add(usageKey, asOfMs, (reading.sinceReset - (reading.reserved ?? 0)) / unitOf(reading));
    const plan = tenants.get(reading.tenantId)?.plan ?? totals.plan;
    return evaluateReading(reading, { plan, asOfMs, growth: usage.growth(usageKey, forecastMsMin) });
  }

  function evaluateReading(
    reading: CompleteReading,
    {
      plan,
      asOfMs,
      growth,
    }: { readonly plan: string; readonly asOfMs: number; readonly growth: Growth | null },
  ): AlertEvent[] {
    const { tenantId, quota, quantity, span, sinceReset, resetAtMs } = reading;
    if (sinceReset === null) return [];
    const unit = unitOf(reading);
    const limit = unit === 1 ? quota : { ...quota, limit: quota.limit / unit };
    const { quantities, currency: named } = policy();
    const currency = quantities.get(quantity.name)?.kind === 'cost' ? named : null;
    const used = sinceReset / unit;
    return evaluateQuota(
      { tenantId, plan, limit, quantity, currency, span, used, resetAtMs, asOfMs, growth },
      thresholdsFor(tenants.get(tenantId)?.notifications, quota.name) ?? policy().alertThresholds,
      sentAlertsOf(reading),
      clock.now(),
    );
  }

  function sentAlertsOf({ tenantId, quota, span }: CompleteReading): SentAlerts | null {
    return log.history.of(tenantId, quota.name, new Date(span.startMs).toISOString());
  }

  function count(alerts: readonly AlertEvent[]): void {
    for (const alert of alerts) {
      metrics.alerts.inc({ kind: alert.kind });
      metrics.nearlyUsedUp.add(alert);
    }
  }

  async function sendRecoveries(): Promise<void> {
    const nowMs = clock.now();
    const over = log.history.exceededAndOver(nowMs - recoveredAfterMs);
    await log.append(over.map((sent) => recovered(sent, sent.limit, 0, sent.periodEndsAtMs, nowMs)));
    metrics.alerts.inc({ kind: 'recovered' }, over.length);
  }
}

/** The thresholds that a tenant has set for a quota; undefined: it has set none. */
function thresholdsFor(
  settings: NotificationSettings | undefined,
  limitName: string,
): readonly number[] | undefined {
  const { limits, thresholds } = settings ?? {};
  const own = limits !== undefined && Object.hasOwn(limits, limitName) ? limits[limitName] : undefined;
  return own?.thresholds ?? thresholds;
}

/** Number of smallest units in one unit of the quota's quantity. */
function unitOf({ quantity }: QuotaReading): number {
  return 10 ** quantity.decimals;
}

/**
 * Returns the last totals of each tenant and day in a batch. They include everything that earlier totals in the batch
 * count.
 */
function latestOf(messages: readonly ConsumedMessage[]) {
  const latest = new Map<string, TenantTotals>();
  const rejected: RejectedMessage[] = [];
  for (const message of messages) {
    if (message.value === null) continue;
    const totals = readTotals(message);
    if (totals === null) rejected.push({ message, reason: notTotals });
    else latest.set(`${totals.tenant_id} ${totals.day.start}`, totals);
  }
  return { announced: [...latest.values()], rejected };
}

export function evaluationMetrics(registry: Registry, clock: Pick<Clock, 'now'>) {
  return {
    alerts: startAtZero(
      new Counter({
        name: 'tollgate_alerts_total',
        help: 'Alerts written to the alerts topic, by kind.',
        labelNames: ['kind'],
        registers: [registry],
      }),
      { kind: ['threshold', 'exceeded', 'recovered', 'forecast', 'rejections'] },
    ),
    nearlyUsedUp: createNearlyUsedUp(registry, clock),
    unreadable: new Counter({
      name: 'tollgate_totals_unreadable_total',
      help: 'Records of the totals topic that could not be read and were written to the dead-letter topic.',
      registers: [registry],
    }),
    age: new Histogram({
      name: 'tollgate_evaluation_age_seconds',
      help: 'Seconds from the announcement of totals until their alerts are on the alerts topic.',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60],
      registers: [registry],
    }),
  };
}

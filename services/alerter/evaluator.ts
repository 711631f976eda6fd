import { LRUCache } from 'lru-cache';
import { Counter, Histogram } from 'prom-client';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { settleReadings } from '../../shared/clickhouse/queries/settle-readings.ts';
import type { SettledReading } from '../../shared/clickhouse/queries/settle-readings.ts';
import type { AlertEvent } from '../../shared/domain/topics/alert.ts';
import { periodAt } from '../../shared/domain/time/calendar.ts';
import type { Policy } from '../../shared/domain/policy.ts';
import type { TenantTotals } from '../../shared/domain/topics/totals.ts';
import { heartbeatTenant } from '../../shared/domain/identity.ts';
import { anonymousTenant } from '../../shared/domain/usage-event.ts';
import type { RejectedMessage } from '../../shared/kafka/consumer/handling.ts';
import type { ConsumedMessage } from '../../shared/kafka/message.ts';
import type { TenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { notTotals, readTotals } from '../../shared/kafka/totals-record.ts';
import { openReading, readingsOf } from '../../shared/policy/quota-readings.ts';
import type { QuotaReading } from '../../shared/policy/quota-readings.ts';
import { quotasFor } from '../../shared/policy/quotas.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import type { AlertLog } from './alert-log.ts';
import { evaluateQuota, lifted, recovered } from './evaluate.ts';
import type { Heartbeat } from './heartbeat.ts';
import { createPace } from './pace.ts';
import type { Growth, Pace } from './pace.ts';
import { heavyRejections, rejectionsAlert } from './rejections.ts';
import type { Rejector } from './refusing-limits.ts';
import { isExceeded } from './sent-alerts.ts';
import type { Told } from './sent-alerts.ts';

export interface Evaluator {
  /** Judges announcements and puts what they call for on the alerts topic; answers what is none. Safe to repeat. */
  evaluate(messages: readonly ConsumedMessage[]): Promise<readonly RejectedMessage[]>;
  /**
   * Judges tenants anew by what is known of them now: their record, a boost or the policy changed, and without traffic no
   * announcement comes. Safe to repeat.
   */
  revisit(tenantIds: ReadonlySet<string>): Promise<void>;
  /** Tells of the quotas whose period is over since they were exceeded: no announcement would. */
  tellRecovered(): Promise<void>;
}

export interface EvaluatorOptions {
  readonly log: AlertLog;
  readonly tenants: TenantDirectory;
  readonly clickhouse: ClickHouse;
  readonly policy: () => Policy;
  readonly rejector: Rejector;
  readonly heartbeat: Heartbeat;
  readonly clock: Clock;
  readonly registry: Registry;
}

/** Usage of the last quarter of an hour foretells; below five minutes of it nothing does. */
const usageWindowMs = 15 * 60_000;
const forecastMsMin = 5 * 60_000;
const minuteMs = 60_000;
const tenantsMax = 50_000;
const totalsMax = 10_000;
/** A period's last events are on their way for a moment after it ended. */
const recoveredAfterMs = 5_000;

export function createEvaluator(options: EvaluatorOptions): Evaluator {
  const { log, tenants, clickhouse, policy, rejector, heartbeat, clock, registry } = options;
  const usage = createPace({ windowMs: usageWindowMs, readingsMax: 15, keysMax: tenantsMax });
  const minutes = createPace({ windowMs: minuteMs, readingsMax: 6, keysMax: 2 * tenantsMax });
  /** The hour in which a tenant was last told of refusals, so that ClickHouse is not asked again in it. */
  const rejectionsTold = new LRUCache<string, string>({ max: tenantsMax });
  const metrics = createMetrics(registry);
  /** Newest announcements, to judge by when nothing is announced. */
  const latest = new LRUCache<string, TenantTotals>({ max: totalsMax });
  let turn: Promise<unknown> = Promise.resolve();
  return {
    evaluate: (messages) => inTurn(() => evaluate(messages)),
    revisit: (tenantIds) => inTurn(() => revisit(tenantIds)),
    tellRecovered: () => inTurn(tellRecovered),
  };

  /** One after the other: each has to find in the history what the one before told. */
  function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const next = turn.then(work, work);
    turn = next.catch(() => undefined);
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
    const settled = await settleReadings(clickhouse, readings.flat());
    const alerts: AlertEvent[] = [];
    let from = 0;
    for (const [index, totals] of announced.entries()) {
      const own = settled.slice(from, (from += readings[index]?.length ?? 0));
      alerts.push(...own.flatMap((reading) => judgeAnnounced(totals, reading)));
      const refused = await judgeRejections(totals, own);
      if (refused !== null) alerts.push(refused);
    }
    const beats = announced.map((totals) => heartbeat.alertFor(totals)).filter((beat) => beat !== null);
    await log.append([...alerts, ...beats]);
    count(alerts);
    for (const { announced_at } of announced) {
      metrics.age.observe((clock.now() - Date.parse(announced_at)) / 1000);
    }
    return rejected;
  }

  async function revisit(tenantIds: ReadonlySet<string>): Promise<void> {
    const nowMs = clock.now();
    const plans = new Map([...tenantIds].map((tenantId) => [tenantId, planOf(tenantId)]));
    const readings = [...plans].flatMap(([tenantId, plan]) => readingsNow(tenantId, plan, nowMs));
    const settled = await settleReadings(clickhouse, readings);
    const alerts = settled.flatMap((reading) => {
      // What is read now is newer than whatever was told, also where another machine's clock is ahead.
      const told = toldOf(reading);
      const asOfMs = Math.max(nowMs, (told?.asOfMs ?? 0) + 1);
      return judge(reading, { plan: plans.get(reading.tenantId) ?? '', asOfMs, growth: null });
    });
    for (const [tenantId, plan] of plans) alerts.push(...liftedOf(tenantId, plan, nowMs));
    await log.append(alerts);
    count(alerts);
  }

  /** Recoveries of quotas that the tenant's plan or the policy no longer has. */
  function liftedOf(tenantId: string, plan: string | null, nowMs: number): AlertEvent[] {
    const exceeded = log.history
      .ofTenant(tenantId)
      .filter((told) => told.periodEndsAtMs > nowMs && isExceeded(told));
    if (exceeded.length === 0) return [];
    const record = tenants.get(tenantId) ?? null;
    const names = new Set(quotasFor(policy(), { plan, record, nowMs }).map(({ name }) => name));
    return exceeded
      .filter(({ limitName }) => !names.has(limitName))
      .map((told) => lifted(told, Math.max(nowMs, told.asOfMs), nowMs));
  }

  /** By the newest announcement where it speaks of the quota's period, else by ClickHouse. */
  function readingsNow(tenantId: string, plan: string | null, nowMs: number): QuotaReading[] {
    const record = tenants.get(tenantId) ?? null;
    const totals = latest.get(tenantId);
    const told = Math.max(0, ...log.history.ofTenant(tenantId).map(({ asOfMs }) => asOfMs));
    if (totals !== undefined && Date.parse(totals.announced_at) >= told) {
      return readingsOf(totals, policy(), record, nowMs);
    }
    if (tenantId === anonymousTenant || tenantId === heartbeatTenant) return [];
    const quotas = quotasFor(policy(), { plan, record, nowMs });
    return quotas.map((quota) => openReading(tenantId, quota, record, nowMs));
  }

  function planOf(tenantId: string): string | null {
    const told = log.history.ofTenant(tenantId).at(-1)?.plan;
    return tenants.get(tenantId)?.plan ?? latest.get(tenantId)?.plan ?? told ?? null;
  }

  function judgeAnnounced(totals: TenantTotals, reading: SettledReading): AlertEvent[] {
    if (reading.sinceReset === null) return [];
    const asOfMs = Date.parse(totals.announced_at);
    const paceKey = JSON.stringify([reading.tenantId, reading.quota.name, reading.quota.route]);
    usage.add(paceKey, asOfMs, reading.sinceReset);
    const plan = tenants.get(reading.tenantId)?.plan ?? totals.plan;
    return judge(reading, { plan, asOfMs, growth: usage.growth(paceKey, forecastMsMin) });
  }

  function judge(
    reading: SettledReading,
    {
      plan,
      asOfMs,
      growth,
    }: { readonly plan: string; readonly asOfMs: number; readonly growth: Growth | null },
  ): AlertEvent[] {
    const { tenantId, quota, span, sinceReset, resetAtMs } = reading;
    if (sinceReset === null) return [];
    return evaluateQuota(
      { tenantId, plan, limit: quota, span, used: sinceReset, resetAtMs, asOfMs, growth },
      tenants.get(tenantId)?.notifications?.thresholds ?? policy().alertThresholds,
      toldOf(reading),
      clock.now(),
    );
  }

  function toldOf({ tenantId, quota, span }: SettledReading): Told | null {
    return log.history.of(tenantId, quota.name, new Date(span.startMs).toISOString());
  }

  function count(alerts: readonly AlertEvent[]): void {
    for (const { kind, used, limit } of alerts) {
      metrics.alerts.inc({ kind });
      if ((kind === 'threshold' || kind === 'exceeded') && used >= 0.9 * limit) metrics.nearlyUsedUp.inc();
    }
  }

  async function judgeRejections(totals: TenantTotals, quotas: readonly SettledReading[]) {
    const { tenant_id: tenantId, plan, day, announced_at } = totals;
    if (tenantId === anonymousTenant || tenantId === heartbeatTenant) return null;
    const asOfMs = Date.parse(announced_at);
    const refused = growthOf(minutes, `r${tenantId}`, asOfMs, day.limited);
    const requests = growthOf(minutes, `a${tenantId}`, asOfMs, day.requests);
    const heavy = heavyRejections(refused, requests);
    const hour = new Date(periodAt('hour', null, asOfMs).startMs).toISOString();
    if (heavy === null || rejectionsTold.get(tenantId) === hour) return null;
    const limitName = await rejector.limitBehind(tenantId, asOfMs);
    // Of a quota that is used up the tenant knows: refusals are what that means.
    const isQuota = quotas.some(
      ({ quota, sinceReset }) => quota.name === limitName && sinceReset !== null && sinceReset >= quota.limit,
    );
    if (limitName === null || isQuota) return null;
    rejectionsTold.set(tenantId, hour);
    const alert = rejectionsAlert({ tenantId, plan }, limitName, heavy, asOfMs, clock.now());
    return log.history.of(tenantId, limitName, alert.period)?.rejections === true ? null : alert;
  }

  async function tellRecovered(): Promise<void> {
    const nowMs = clock.now();
    const over = log.history.exceededAndOver(nowMs - recoveredAfterMs);
    await log.append(over.map((told) => recovered(told, told.limit, 0, told.periodEndsAtMs, nowMs)));
    metrics.alerts.inc({ kind: 'recovered' }, over.length);
  }
}

function growthOf(pace: Pace, key: string, atMs: number, count: number) {
  pace.add(key, atMs, count);
  return pace.growth(key, minuteMs / 2);
}

/** Of several announcements of a tenant in one batch the last says all that the others do. */
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

function createMetrics(registry: Registry) {
  return {
    alerts: new Counter({
      name: 'tollgate_alerts_total',
      help: 'Alerts put on the alerts topic, by kind.',
      labelNames: ['kind'],
      registers: [registry],
    }),
    nearlyUsedUp: new Counter({
      name: 'tollgate_quotas_over_90_total',
      help: 'Alerts that told a tenant of a quota used to 90 % or more.',
      registers: [registry],
    }),
    unreadable: new Counter({
      name: 'tollgate_totals_unreadable_total',
      help: 'Announcements of totals that could not be read and went to the dead letters.',
      registers: [registry],
    }),
    age: new Histogram({
      name: 'tollgate_evaluation_age_seconds',
      help: 'Seconds from the announcement of totals to the alerts they called for being on the alerts topic.',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60],
      registers: [registry],
    }),
  };
}

import { LRUCache } from 'lru-cache';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import type { CompleteReading } from '../../../shared/clickhouse/queries/consumption/complete-readings.ts';
import { heartbeatTenant } from '../../../shared/domain/identity.ts';
import { periodAt } from '../../../shared/domain/time/calendar.ts';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { TenantTotals } from '../../../shared/domain/topics/totals.ts';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { AlertHistory } from './history.ts';
import { createGrowthRates } from './growth-rates.ts';
import {
  comparedMsMax,
  dueRejections,
  heavyRejections,
  rejectionsAlert,
  wantedRefusals,
} from './rejections.ts';
import type { Rejections } from './rejections.ts';
import { findRefusingLimits } from './refusing-limits.ts';
import type { RefusedTenant, RefusingLimit } from './refusing-limits.ts';

/** Alerts about refused requests. */
export interface RejectionAlerts {
  /** Returns the alerts that are due for a batch of announced totals: at most one an hour for each limit. */
  evaluate(batch: readonly AnnouncedTotals[]): Promise<readonly AlertEvent[]>;
}

export interface AnnouncedTotals {
  readonly totals: TenantTotals;
  readonly quotas: readonly CompleteReading[];
}

/** A tenant whose refusing limits are to be read. */
interface DueTenant extends AnnouncedTotals, RefusedTenant {
  readonly wanted: ReadonlyMap<string, number>;
  readonly heavy: Rejections | null;
  readonly requests: number;
  readonly hour: string;
}

export interface RejectionAlertsOptions {
  readonly clickhouse: ClickHouse;
  readonly tenants: Pick<TenantDirectory, 'get'>;
  readonly history: Pick<AlertHistory, 'of'>;
  readonly clock: Clock;
}

const minuteMs = 60_000;
const tenantsMax = 50_000;
/** Shortest time between two queries for the refusing limits of one tenant. */
const queryMsMin = 5_000;

export function createRejectionAlerts(options: RejectionAlertsOptions): RejectionAlerts {
  const { clickhouse, tenants, history, clock } = options;
  const minutes = createGrowthRates({ windowMs: minuteMs, readingsMax: 6, keysMax: 2 * tenantsMax });
  /** By tenant: the hour of its last alert about refused requests, if the tenant has no settings for single limits. */
  const alertHour = new LRUCache<string, string>({ max: tenantsMax });
  const queriedAtMs = new LRUCache<string, number>({ max: tenantsMax });
  return { evaluate };

  async function evaluate(batch: readonly AnnouncedTotals[]): Promise<readonly AlertEvent[]> {
    const due = new Map(batch.flatMap((one) => dueOf(one)).map((one) => [one.tenantId, one]));
    const refusing = await findRefusingLimits(clickhouse, [...due.values()]);
    return [...due.values()].flatMap((one) => alertsOf(one, refusing.get(one.tenantId) ?? []));
  }

  /** The tenant of the totals if its refusing limits are to be read; otherwise an empty list. */
  function dueOf({ totals, quotas }: AnnouncedTotals): readonly DueTenant[] {
    const { tenant_id: tenantId, day, announced_at } = totals;
    if (tenantId === anonymousTenant || tenantId === heartbeatTenant) return [];
    const atMs = Date.parse(announced_at);
    const refused = growthOf(`r${tenantId}`, atMs, day.limited);
    const requests = growthOf(`a${tenantId}`, atMs, day.requests);
    const heavy = heavyRejections(refused, requests);
    const wanted = wantedRefusals(tenants.get(tenantId)?.notifications);
    const isWanted =
      wanted.size > 0 &&
      day.limited > 0 &&
      (refused === null || refused.overMs > comparedMsMax || refused.by > 0);
    const hour = new Date(periodAt('hour', null, atMs).startMs).toISOString();
    if (!isWanted && (heavy === null || alertHour.get(tenantId) === hour)) return [];
    if (isWanted && atMs - (queriedAtMs.get(tenantId) ?? -Infinity) < queryMsMin) return [];
    queriedAtMs.set(tenantId, atMs);
    return [{ totals, quotas, tenantId, atMs, wanted, heavy, requests: requests?.by ?? 0, hour }];
  }

  function alertsOf(
    { totals, quotas, tenantId, atMs, wanted, heavy, requests, hour }: DueTenant,
    refusing: readonly RefusingLimit[],
  ): readonly AlertEvent[] {
    const tenant = { tenantId, plan: totals.plan };
    const alerts = dueRejections(refusing, wanted, heavy, requests)
      .filter(({ name }) => !isUsedUp(quotas, name))
      .map(({ name, rejections }) => rejectionsAlert(tenant, name, rejections, atMs, clock.now()));
    if (alerts.length > 0 && wanted.size === 0) alertHour.set(tenantId, hour);
    return alerts.filter(
      ({ limit_name: name, period }) => history.of(tenantId, name, period)?.rejections !== true,
    );
  }

  function growthOf(key: string, atMs: number, count: number) {
    minutes.add(key, atMs, count);
    return minutes.growth(key, minuteMs / 2);
  }
}

/** True for a quota that is used up: an `exceeded` alert was sent already. */
function isUsedUp(quotas: readonly CompleteReading[], name: string): boolean {
  return quotas.some(
    ({ quota, sinceReset }) => quota.name === name && sinceReset !== null && sinceReset >= quota.limit,
  );
}

import type { ExactAmounts } from '../domain/events/call-usage.ts';
import { addAmounts } from '../domain/amount.ts';
import { deliveredAlerts } from '../clickhouse/queries/tenants/delivered-alerts.ts';
import type { DeliveredAlert } from '../clickhouse/queries/tenants/delivered-alerts.ts';
import { heaviestTenants } from '../clickhouse/queries/tenants/heaviest-tenants.ts';
import type { TenantUse } from '../clickhouse/queries/tenants/heaviest-tenants.ts';
import { tenantFigures } from '../clickhouse/queries/tenants/tenant-figures.ts';
import type { TenantFigures } from '../clickhouse/queries/tenants/tenant-figures.ts';
import { periodAt } from '../domain/time/calendar.ts';
import type { Policy } from '../domain/policy.ts';
import type { ClickHouseReader } from '../clickhouse/client.ts';
import { openReservations, reservedAmounts } from '../clickhouse/queries/reservations.ts';
import type { OpenReservation, ReservationsQuery } from '../clickhouse/queries/reservations.ts';
import { queryMeter } from '../clickhouse/queries/meters.ts';
import type { MeterQuery, MeterResult } from '../clickhouse/queries/meters.ts';
import type { MeterDefinition } from '../domain/meter.ts';
import { createEventsStoredSince } from '../clickhouse/queries/installation/event-retention.ts';
import type { EventsStoredSince } from '../clickhouse/queries/installation/event-retention.ts';
import { nestedTotals } from '../clickhouse/queries/period-totals.ts';
import type { Span, TenantTotalsRow } from '../clickhouse/queries/period-totals.ts';
import { keyUses } from '../clickhouse/queries/portal/key-uses.ts';
import { eventById } from '../clickhouse/queries/portal/event-detail.ts';
import type { EventDetail } from '../clickhouse/queries/portal/event-detail.ts';
import { eventPage } from '../clickhouse/queries/portal/event-list.ts';
import type { EventCursor, EventFilter, EventPage } from '../clickhouse/queries/portal/event-list.ts';
import { recentCallers } from '../clickhouse/queries/portal/recent-callers.ts';
import type { RecentCaller } from '../clickhouse/queries/portal/recent-callers.ts';
import { spendBy, tenantSpend } from '../clickhouse/queries/spend/spend.ts';
import type { SpendBy, TenantSpend } from '../clickhouse/queries/spend/spend.ts';
import { counterContent, refusalGroups, refusalsOneByOne } from '../clickhouse/queries/portal/refusals.ts';
import type {
  CounterContent,
  CounterQuery,
  ListPart,
  RefusalFilter,
  RefusalGroup,
} from '../clickhouse/queries/portal/refusals.ts';
import { usageHistory } from '../clickhouse/queries/portal/usage-history.ts';
import type { HistoryQuery, HistoryRow } from '../clickhouse/queries/portal/usage-history.ts';
import { usageShares } from '../clickhouse/queries/portal/usage-shares.ts';
import type { UsageShare } from '../clickhouse/queries/portal/usage-shares.ts';
import { lastMinute, seenPlan } from '../clickhouse/queries/portal/recent-usage.ts';
import { createQueryShares } from '../clickhouse/query-shares.ts';
import type { QueryShares } from '../clickhouse/query-shares.ts';
import type { Registry } from '../runtime/http/ops.ts';
import {
  completeThrough,
  decisionById,
  recentEvents,
  recentRefusals,
  usageSeries,
} from '../clickhouse/queries/usage.ts';
import type {
  RecentEventsFilter,
  RecentRefusal,
  UsageEventRow,
  UsagePoint,
} from '../clickhouse/queries/usage.ts';

export type GraphSpan = '24h' | '30d';

export type PeriodUse = Omit<
  TenantTotalsRow,
  'tenant_id' | 'plan' | 'consumed_by_route' | 'quantities' | 'reserved' | 'reserved_units'
>;

/**
 * Bounds for portal visitors: running queries of all tenants, running queries of one tenant, waiting queries of one
 * tenant. One page sends about six queries.
 */
const portalQueries = { concurrentMax: 6, concurrentOfTenantMax: 3, waitingOfTenantMax: 20 };

/** Queries of the admin API and the console to ClickHouse. Every function rejects if ClickHouse does not answer. */
export interface UsageReader {
  /**
   * The same queries for a visitor of the portal. They count against the tenant's share of queries, and are cancelled
   * when the visitor leaves.
   */
  ofTenant(tenantId: string, signal: AbortSignal): UsageReader;
  /** Totals of the day and of the month that contain `nowMs` in the tenant's calendar; zeros if nothing was recorded. */
  totals(
    tenantId: string,
    calendar: string | null,
    nowMs: number,
  ): Promise<{ readonly day: PeriodUse; readonly month: PeriodUse }>;
  /** Number of requests in the last 60 seconds that are already recorded. */
  lastMinute(tenantId: string, nowMs: number): Promise<number>;
  /**
   * Usage of each quarter hour of the last day, or of each day of the last 30 days; oldest first. Intervals without
   * usage have zeros.
   */
  series(tenantId: string, span: GraphSpan, nowMs: number): Promise<readonly UsagePoint[]>;
  /** The latest requests over a limit between a time and the present, newest first. */
  refusals(tenantId: string, untilNow: Span, countMax: number): Promise<readonly RecentRefusal[]>;
  decision(eventId: string): Promise<UsageEventRow | null>;
  recentEvents(filter: RecentEventsFilter, countMax: number): Promise<readonly UsageEventRow[]>;
  /** For lists of tenants. */
  tenantFigures(nowMs: number, countMax: number): Promise<readonly TenantFigures[]>;
  /** Tenants with their usage since the UTC day of `sinceMs`, most requests first. */
  heaviest(sinceMs: number, countMax: number): Promise<readonly TenantUse[]>;
  /** Plan in the tenant's latest request of the last month; null if there was none. */
  seenPlan(tenantId: string, nowMs: number): Promise<string | null>;
  alerts(tenantId: string, countMax: number): Promise<readonly DeliveredAlert[]>;
  /** What the tenant spent on calls whose usage is measured, by day, route, user or model. */
  spendBy(query: Parameters<typeof spendBy>[1]): Promise<readonly SpendBy[]>;
  /** Tenants with their cost since the UTC day of `sinceMs`, highest cost first. */
  tenantSpend(sinceMs: number, countMax: number): Promise<readonly TenantSpend[]>;
  /** Open and expired reservations; those that end first are first. */
  openReservations(query: ReservationsQuery): Promise<readonly OpenReservation[]>;
  /** Requests over a limit, repeated ones in one row or each in a row of its own; latest first. */
  refusalList(
    tenantId: string,
    filter: RefusalFilter,
    part: ListPart,
    grouped: boolean,
  ): Promise<readonly RefusalGroup[]>;
  /** What a counter of the tenant held at the time of a decision. */
  counterContent(tenantId: string, query: CounterQuery, callsMax: number): Promise<CounterContent>;
  /** Routes or users of the tenant since the hour of `sinceMs`, most requests first. */
  shares(
    tenantId: string,
    query: Parameters<typeof usageShares>[2],
    countMax: number,
  ): Promise<readonly UsageShare[]>;
  /** Usage by interval and one dimension. */
  history(tenantId: string, query: HistoryQuery): Promise<readonly HistoryRow[]>;
  /** Values of a meter of the policy. The query names the tenant. */
  meter(definition: MeterDefinition, query: MeterQuery): Promise<MeterResult>;
  /** Recorded events of the tenant before the cursor, newest first. */
  events(
    tenantId: string,
    filter: EventFilter,
    page: { readonly cursor: EventCursor | null; readonly countMax: number },
  ): Promise<EventPage>;
  /** An event of the tenant; null if it has none of this id (at this time). */
  event(tenantId: string, id: string, atMs: number | null): Promise<EventDetail | null>;
  /** Callers of the tenant since `sinceMs`, most requests first. */
  callers(tenantId: string, sinceMs: number, countMax: number): Promise<readonly RecentCaller[]>;
  /** Times of the latest request with each API key of the tenant, by the id of the key. */
  keyUses(tenantId: string): Promise<ReadonlyMap<string, string>>;
  /** Amounts of the tenant's open reservations, by quantity, in its own unit. */
  reserved(tenantId: string, nowMs: number): Promise<ExactAmounts>;
  /** Time up to which recorded usage is complete, ISO 8601; null before the first event. */
  completeThrough(): Promise<string | null>;
  readonly eventsStoredSince: EventsStoredSince;
}

/** Reservations of older calls have expired, and their records in Redis too. */
const reservedSpanMs = 2 * 86_400_000;
const quarterMs = 15 * 60_000;
const dayMs = 86_400_000;

export interface UsageReaderOptions {
  readonly clickhouse: ClickHouseReader;
  readonly policy: () => Policy;
  readonly registry: Registry;
}

/**
 * A reader for operators. Its queries count against no tenant's share; `ofTenant` returns a reader for one tenant.
 */
export function createUsageReader({ clickhouse, policy, registry }: UsageReaderOptions): UsageReader {
  return readerBy(clickhouse, {
    tenants: createQueryShares({ clickhouse, registry, ...portalQueries }),
    policy,
    // It is the same for all readers, so it counts against no tenant's share.
    eventsStoredSince: createEventsStoredSince(clickhouse),
  });
}

interface ReaderParts {
  readonly tenants: QueryShares;
  readonly policy: () => Policy;
  readonly eventsStoredSince: EventsStoredSince;
}

function readerBy(clickhouse: ClickHouseReader, parts: ReaderParts): UsageReader {
  const { tenants, policy, eventsStoredSince } = parts;
  return {
    ofTenant: (tenantId, signal) => readerBy(tenants.of(tenantId, signal), parts),
    async totals(tenantId, calendar, nowMs) {
      const { part: day, whole: month } = await nestedTotals(clickhouse, [tenantId], {
        whole: periodAt('month', calendar, nowMs),
        part: periodAt('day', calendar, nowMs),
      });
      return { day: useOf(day.get(tenantId)), month: useOf(month.get(tenantId)) };
    },
    lastMinute: (tenantId, nowMs) => lastMinute(clickhouse, tenantId, nowMs),
    series: (tenantId, span, nowMs) => series(clickhouse, tenantId, span, nowMs),
    refusals: (tenantId, untilNow, countMax) => recentRefusals(clickhouse, tenantId, untilNow, countMax),
    decision: (eventId) => decisionById(clickhouse, eventId),
    recentEvents: (filter, countMax) => recentEvents(clickhouse, filter, countMax),
    heaviest: (sinceMs, countMax) => heaviestTenants(clickhouse, policy(), sinceMs, countMax),
    tenantFigures: (nowMs, countMax) => tenantFigures(clickhouse, nowMs, countMax),
    seenPlan: (tenantId, nowMs) => seenPlan(clickhouse, tenantId, nowMs),
    alerts: (tenantId, countMax) => deliveredAlerts(clickhouse, tenantId, countMax),
    spendBy: (query) => spendBy(clickhouse, query),
    tenantSpend: (sinceMs, countMax) => tenantSpend(clickhouse, sinceMs, countMax),
    openReservations: (query) => openReservations(clickhouse, query),
    refusalList: (tenantId, filter, part, grouped) =>
      (grouped ? refusalGroups : refusalsOneByOne)(clickhouse, tenantId, filter, part),
    counterContent: (tenantId, query, callsMax) => counterContent(clickhouse, tenantId, query, callsMax),
    shares: (tenantId, query, countMax) => usageShares(clickhouse, tenantId, query, countMax),
    history: (tenantId, query) => usageHistory(clickhouse, tenantId, query),
    meter: (definition, query) => queryMeter(clickhouse, definition, query, 'counted'),
    events: (tenantId, filter, page) => eventPage(clickhouse, tenantId, filter, page),
    event: (tenantId, id, atMs) => eventById(clickhouse, tenantId, id, atMs),
    callers: (tenantId, sinceMs, countMax) => recentCallers(clickhouse, tenantId, sinceMs, countMax),
    keyUses: (tenantId) => keyUses(clickhouse, tenantId),
    reserved: (tenantId, nowMs) => reservedAmounts(clickhouse, tenantId, nowMs - reservedSpanMs),
    completeThrough: () => completeThrough(clickhouse),
    eventsStoredSince,
  };
}

const unused: PeriodUse = {
  requests: 0,
  allowed: 0,
  limited: 0,
  bypassed: 0,
  errors: 0,
  units: 0,
  consumed: 0,
  cost: 0n,
};

function useOf(row: TenantTotalsRow | undefined): PeriodUse {
  if (row === undefined) return unused;
  const { requests, allowed, limited, bypassed, errors, units, consumed, cost } = row;
  return { requests, allowed, limited, bypassed, errors, units, consumed, cost };
}

const summed = ['requests', 'allowed', 'limited', 'bypassed', 'errors'] as const;
const noPoint = { requests: 0, allowed: 0, limited: 0, bypassed: 0, errors: 0, units: 0, cost: 0n };

type Bucket = { -readonly [Name in keyof UsagePoint]: UsagePoint[Name] };

async function series(
  clickhouse: ClickHouseReader,
  tenantId: string,
  span: GraphSpan,
  nowMs: number,
): Promise<readonly UsagePoint[]> {
  const [by, stepMs, count] =
    span === '24h' ? (['minute', quarterMs, 96] as const) : (['day', dayMs, 30] as const);
  const endMs = Math.floor(nowMs / stepMs) * stepMs + stepMs;
  const startMs = endMs - count * stepMs;
  const points = await usageSeries(clickhouse, tenantId, by, { startMs, endMs });
  const buckets = Array.from({ length: count }, (_, index): Bucket => ({
    at: new Date(startMs + index * stepMs).toISOString(),
    ...noPoint,
  }));
  for (const point of points) {
    const bucket = buckets[Math.floor((Date.parse(point.at) - startMs) / stepMs)];
    if (bucket === undefined) continue;
    for (const name of summed) bucket[name] += point[name];
    bucket.units = addAmounts(bucket.units, point.units);
    bucket.cost += point.cost;
  }
  return buckets;
}

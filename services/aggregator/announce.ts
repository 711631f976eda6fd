import { nestedTotals } from '../../shared/clickhouse/queries/period-totals.ts';
import type { Span, TenantTotalsRow } from '../../shared/clickhouse/queries/period-totals.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import type { Amount } from '../../shared/domain/amount.ts';
import { dateAt, periodAt } from '../../shared/domain/time/calendar.ts';
import { calendarParts } from '../../shared/domain/time/calendar-name.ts';
import { jsonAmounts, jsonMoney } from '../../shared/domain/money.ts';
import type { PeriodTotals, TenantTotals } from '../../shared/domain/topics/totals.ts';
import type { TouchedTenant } from './events/touched-cells.ts';
import type { DeadLetterWriter } from '../../shared/kafka/dead-letters/writer.ts';
import type { Producer, ProducerRecord } from '../../shared/kafka/producer/producer.ts';
import { sendInPieces } from '../../shared/kafka/producer/send-in-pieces.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import { TollgateError } from '../../shared/runtime/errors.ts';

export interface Announcer {
  /**
   * Sends the totals of these tenants to the totals topic. If Kafka refuses the totals of a tenant, they become a dead
   * letter of that tenant, and the totals of the other tenants are sent. Safe to repeat. `traceparent` becomes a header
   * of the records; null: none.
   */
  announce(tenants: ReadonlyMap<string, AnnouncedTenant>, traceparent?: string | null): Promise<void>;
}

type AnnouncedTenant = Pick<TouchedTenant, 'partition' | 'degradedSinceMs'>;

export interface AnnouncerOptions {
  readonly clickhouse: ClickHouse;
  readonly producer: Producer;
  readonly deadLetters: DeadLetterWriter;
  readonly topic: string;
  readonly clock: Clock;
  /** Returns the calendar of a tenant; null means UTC. */
  readonly calendarOf: (tenantId: string) => string | null;
  /** Returns the instant up to which a partition is complete, in Unix milliseconds. */
  readonly completeThroughMs: (partition: number) => number;
}

/** Announces the totals that ClickHouse has now, for the current day and month in each tenant's own calendar. */
export function createAnnouncer(options: AnnouncerOptions): Announcer {
  const { clickhouse, clock, calendarOf, completeThroughMs } = options;
  return {
    async announce(tenants, traceparent = null) {
      const headers = traceparent === null ? {} : { headers: { traceparent } };
      const nowMs = clock.now();
      const byCalendar = Map.groupBy(tenants.keys(), (tenantId) => calendarOf(tenantId));
      for (const [calendar, tenantIds] of byCalendar) {
        const spans = { day: periodAt('day', calendar, nowMs), month: periodAt('month', calendar, nowMs) };
        const { zone, billingDay } = calendarParts(calendar);
        const { part: day, whole: month } = await nestedTotals(clickhouse, tenantIds, {
          whole: spans.month,
          part: spans.day,
        });
        const records = tenantIds.map((tenantId) => {
          const totals: TenantTotals = {
            tenant_id: tenantId,
            plan: day.get(tenantId)?.plan ?? month.get(tenantId)?.plan ?? '',
            ...(zone === null || zone === 'UTC' ? {} : { time_zone: zone }),
            ...(billingDay === 1 ? {} : { billing_day: billingDay }),
            day: totalsOf(day.get(tenantId), spans.day, calendar),
            month: totalsOf(month.get(tenantId), spans.month, calendar),
            ...routesOf(day.get(tenantId)?.consumed_by_route ?? {}),
            complete_through: new Date(
              completeThroughMs(tenants.get(tenantId)?.partition ?? -1),
            ).toISOString(),
            announced_at: new Date(clock.now()).toISOString(),
            ...degradedSince(tenants.get(tenantId)),
          };
          return { key: tenantId, value: JSON.stringify(totals), ...headers };
        });
        await send(options, records);
      }
    },
  };
}

function degradedSince(tenant: AnnouncedTenant | undefined): Pick<TenantTotals, 'degraded_since'> {
  const sinceMs = tenant?.degradedSinceMs ?? null;
  return sinceMs === null ? {} : { degraded_since: new Date(sinceMs).toISOString() };
}

/** Limit of the JSON length of the totals by route in one record, because events may name any number of routes. */
const routesLengthMax = 128 * 1024;

function routesOf(consumed: Readonly<Record<string, Amount>>): Pick<TenantTotals, 'day_by_route'> {
  return JSON.stringify(consumed).length > routesLengthMax ? {} : { day_by_route: consumed };
}

interface TotalsRecord extends ProducerRecord {
  readonly key: string;
  readonly value: string;
}

async function send(
  { producer, deadLetters, topic }: AnnouncerOptions,
  records: readonly TotalsRecord[],
): Promise<void> {
  try {
    await sendInPieces(producer, topic, records);
  } catch (error) {
    if (!isRefused(error)) throw error;
    for (const record of records) await sendAlone(record);
  }

  async function sendAlone(record: TotalsRecord): Promise<void> {
    const { key, value } = record;
    try {
      await producer.send(topic, [record]);
    } catch (error) {
      if (!isRefused(error)) throw error;
      const reason = `the totals could not be announced: ${error.message}`;
      await deadLetters.write([
        { reason, topic, partition: null, offset: null, key, value: Buffer.from(value) },
      ]);
    }
  }
}

function isRefused(error: unknown): error is TollgateError {
  return error instanceof TollgateError && error.code === 'KAFKA_RECORD_REFUSED';
}

function totalsOf(row: TenantTotalsRow | undefined, span: Span, calendar: string | null): PeriodTotals {
  const {
    requests = 0,
    allowed = 0,
    limited = 0,
    bypassed = 0,
    errors = 0,
    units = 0,
    consumed = 0,
    cost = 0n,
    quantities = {},
    reserved = {},
    reserved_units: reservedUnits = 0,
  } = row ?? {};
  const open = {
    ...(reservedUnits === 0 || reservedUnits === null ? {} : { requests: reservedUnits }),
    ...jsonAmounts(reserved),
  };
  return {
    start: dateAt(calendar, span.startMs),
    requests,
    allowed,
    limited,
    bypassed,
    errors,
    units,
    consumed,
    cost: jsonMoney(cost),
    ...(Object.keys(quantities).length === 0 ? {} : { quantities: jsonAmounts(quantities) }),
    ...(Object.keys(open).length === 0 ? {} : { reserved: open }),
  };
}

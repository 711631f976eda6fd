import type { Amount } from '../amount.ts';
import { readInstant } from '../time/instant.ts';
import type { TopicRecord } from './record.ts';
import { hasShape, isFiniteNumber, isObject, nullable, numberFrom, optional } from './shape.ts';
import type { Check } from './shape.ts';

/** Totals of one tenant in one period, as stored in ClickHouse. */
export interface PeriodTotals {
  /** First day of the period, `YYYY-MM-DD`. */
  readonly start: string;
  readonly requests: number;
  readonly allowed: number;
  readonly limited: number;
  readonly bypassed: number;
  readonly errors: number;
  readonly units: Amount;
  /** Units of allowed and shadow-limited requests: the consumption that counts for quotas. */
  readonly consumed: Amount;
  /** A JSON number with all its digits, as `jsonMoney` writes it. A reader of doubles gets the nearest one. */
  readonly cost: number;
}

/** Value of `tollgate.totals.v1`, keyed by tenant_id, compacted: each announcement replaces the one before. */
export interface TenantTotals {
  readonly tenant_id: string;
  readonly plan: string;
  /** IANA zone of the day and the month; absent: UTC. */
  readonly time_zone?: string;
  readonly day: PeriodTotals;
  readonly month: PeriodTotals;
  /** Consumed units of the day by route pattern, for quotas of a route; absent: too many routes, query ClickHouse. */
  readonly day_by_route?: Readonly<Record<string, Amount>>;
  /** Every event that reached Kafka before this instant is counted. ISO 8601. */
  readonly complete_through: string;
  readonly announced_at: string;
  /**
   * Among the events that caused this announcement, the time of the first that a gateway decided without Redis: counters of
   * the tenant's users and addresses may lack units since then. Absent: none. ISO 8601.
   */
  readonly degraded_since?: string;
}

export const notTotals = 'is no announcement of totals, or its key is not its tenant_id';

/** Reads an announcement of totals; null where the record is not a valid one. */
export function readTotals({ key, value }: Pick<TopicRecord, 'key' | 'value'>): TenantTotals | null {
  try {
    const totals: unknown = JSON.parse(value?.toString() ?? '');
    // The key selects the partition, and with it the order: with another key an older announcement could come last.
    return isTotals(totals) && totals.tenant_id === key ? totals : null;
  } catch {
    return null;
  }
}

const isText: Check = (value) => typeof value === 'string';
const isAmount = nullable(isFiniteNumber);
const count = numberFrom(0);
const isTime: Check = (value) => typeof value === 'string' && /^\d{4}-\d{2}-\d{2}T/.test(value);

function isTotals(value: unknown): value is TenantTotals {
  return hasShape<TenantTotals>(value, {
    tenant_id: (id) => isText(id) && id !== '',
    plan: isText,
    time_zone: optional(isText),
    day: isPeriod,
    month: isPeriod,
    day_by_route: optional((routes) => isObject(routes) && Object.values(routes).every(isAmount)),
    complete_through: isText,
    announced_at: (time) => isTime(time) && readInstant(String(time)) !== null,
    degraded_since: optional(isTime),
  });
}

function isPeriod(value: unknown): boolean {
  return hasShape<PeriodTotals>(value, {
    start: (day) => typeof day === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(day),
    requests: count,
    allowed: count,
    limited: count,
    bypassed: count,
    errors: count,
    // Negative where corrections remove more units than the period has.
    units: isAmount,
    consumed: isAmount,
    cost: isFiniteNumber,
  });
}

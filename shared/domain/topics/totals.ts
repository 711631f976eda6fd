import type { Amount } from '../amount.ts';
import { billingDayMax } from '../time/calendar-name.ts';
import { readInstant } from '../time/instant.ts';
import type { TopicRecord } from './record.ts';
import {
  checkOf,
  hasShape,
  isFiniteNumber,
  isObject,
  isText,
  nullable,
  numberFrom,
  optional,
  schemaOf,
} from './shape.ts';
import type { Shape } from './shape.ts';

/** Totals of a tenant in a day or a month, computed from the stored events. */
export interface PeriodTotals {
  /** The date of the day, or of the first day of the month, `YYYY-MM-DD`. */
  readonly start: string;
  readonly requests: number;
  readonly allowed: number;
  readonly limited: number;
  readonly bypassed: number;
  readonly errors: number;
  readonly units: Amount;
  /** Units of requests that were allowed or exceeded only limits in shadow mode. Quotas count these units. */
  readonly consumed: Amount;
  /**
   * A JSON number with all its digits, written by `jsonMoney`. A reader that parses numbers as doubles gets the
   * nearest double.
   */
  readonly cost: number;
  /**
   * Amounts that quotas count, by quantity and in its own unit, with all digits like `cost`. Open reservations are
   * included. Absent: nothing.
   */
  readonly quantities?: Readonly<Record<string, number>>;
  /** The part of `quantities` that belongs to open reservations; `requests` is this part of `consumed`. */
  readonly reserved?: Readonly<Record<string, number>>;
}

/**
 * Value of `tollgate.totals.v1`, a compacted topic keyed by tenant_id. Each announcement replaces the tenant's
 * previous one.
 */
export interface TenantTotals {
  readonly tenant_id: string;
  readonly plan: string;
  /** IANA zone in which the day and the month are computed; absent: UTC. */
  readonly time_zone?: string;
  /** Day on which the month begins; absent: 1. */
  readonly billing_day?: number;
  readonly day: PeriodTotals;
  readonly month: PeriodTotals;
  /**
   * Units consumed on the day by each route, keyed by the route's pattern; used for quotas of a route. Absent if
   * there are too many routes: readers then query ClickHouse.
   */
  readonly day_by_route?: Readonly<Record<string, Amount>>;
  /** The totals contain every event that reached Kafka before this time. ISO 8601. */
  readonly complete_through: string;
  readonly announced_at: string;
  /**
   * Set if a gateway decided some of the events behind this announcement without Redis: time of the first such event,
   * ISO 8601. Since then, counters of the tenant's users and addresses in Redis may lack units.
   */
  readonly degraded_since?: string;
}

export const notTotals = 'is no announcement of totals, or its key is not its tenant_id';

/** Reads an announcement; null if the record does not contain a valid one. */
export function readTotals({ key, value }: Pick<TopicRecord, 'key' | 'value'>): TenantTotals | null {
  try {
    const totals: unknown = JSON.parse(value?.toString() ?? '');
    // The key must be the tenant id: it selects the partition, and only within a partition are announcements ordered.
    return isTotals(totals) && totals.tenant_id === key ? totals : null;
  } catch {
    return null;
  }
}

const isAmount = nullable(isFiniteNumber);
const count = numberFrom(0);
const isBillingDay = checkOf(
  { type: 'integer', minimum: 1, maximum: billingDayMax },
  (day) => Number.isInteger(day) && Number(day) >= 1 && Number(day) <= billingDayMax,
);
const isTime = checkOf(
  { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}T' },
  (value) => typeof value === 'string' && /^\d{4}-\d{2}-\d{2}T/.test(value),
);
const isInstant = checkOf(
  { type: 'string', format: 'date-time' },
  (time) => isTime(time) && readInstant(String(time)) !== null,
);
const isDate = checkOf(
  { type: 'string', format: 'date' },
  (day) => typeof day === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(day),
);
const isAmounts = checkOf(
  { type: 'object', additionalProperties: isAmount.schema },
  (routes) => isObject(routes) && Object.values(routes).every((units) => isAmount(units)),
);

const areAmounts = checkOf(
  { type: 'object', additionalProperties: { type: 'number' } },
  (amounts) => isObject(amounts) && Object.values(amounts).every((amount) => isFiniteNumber(amount)),
);

const periodShape: Shape<PeriodTotals> = {
  start: isDate,
  requests: count,
  allowed: count,
  limited: count,
  bypassed: count,
  errors: count,
  // Can be negative: corrections may remove more units than the period contains.
  units: isAmount,
  consumed: isAmount,
  cost: isFiniteNumber,
  quantities: optional(areAmounts),
  reserved: optional(areAmounts),
};
const isPeriod = checkOf(schemaOf(periodShape), (value) => hasShape(value, periodShape));

/** The fields of `TenantTotals`. */
export const totalsShape: Shape<TenantTotals> = {
  tenant_id: checkOf({ type: 'string', minLength: 1 }, (id) => isText(id) && id !== ''),
  plan: isText,
  time_zone: optional(isText),
  billing_day: optional(isBillingDay),
  day: isPeriod,
  month: isPeriod,
  day_by_route: optional(isAmounts),
  complete_through: isText,
  announced_at: isInstant,
  degraded_since: optional(isTime),
};

function isTotals(value: unknown): value is TenantTotals {
  return hasShape(value, totalsShape);
}

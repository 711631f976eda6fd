import { anonymousTenant, refundEventType, requestEventType } from '../../../domain/usage-event.ts';
import type { Outcome } from '../../../domain/decision.ts';
import type { Money } from '../../../domain/money.ts';
import type { ExactAmounts } from '../../../domain/events/call-usage.ts';
import type { ClickHouseReader, QueryOptions } from '../../client.ts';
import { amountsText, parseAmounts, parseMoney } from '../decimals.ts';
import type { AmountsAsText } from '../decimals.ts';

/** A stored event with the fields from which its decision can be made again. */
export interface RecordedEvent {
  /** `usage`: units that an API server published, without a decision. */
  readonly kind: 'request' | 'usage';
  readonly timeMs: number;
  /**
   * Time of the decision by the clock of Redis, in Unix milliseconds with microseconds as a fraction. Events of older releases do
   * not state it: then the time in the id, at which the gateway had the decision.
   */
  readonly decidedAtMs: number;
  /** Whether the event states the time of its decision. */
  readonly isTimeExact: boolean;
  /** Null: the caller was anonymous. */
  readonly tenantId: string | null;
  readonly userId: string | null;
  readonly ip: string;
  readonly plan: string;
  readonly method: string;
  readonly path: string;
  /** Pattern of the route in the policy of that time; `*` for none. */
  readonly route: string;
  readonly status: number;
  readonly decision: Outcome;
  readonly limitedBy: readonly string[];
  readonly units: number;
  readonly cost: Money;
  readonly latencyMs: number;
  /** Duration of the check in microseconds; a part of the latency. */
  readonly checkMicros: number;
  readonly degraded: boolean;
  readonly service: string;
  readonly entrypoint: string;
  /** Id of the API key; empty without one. */
  readonly apiKey: string;
  readonly model: string;
  /** Revision of the policy that decided; empty if the event does not state it. */
  readonly policyRevision: string;
  /** Amounts that the call reserved before it ran, and amounts that it used; null if it has none. */
  readonly reserved: ExactAmounts | null;
  readonly quantities: ExactAmounts | null;
}

/** A range of time, in Unix milliseconds: `fromMs` inclusive, `toMs` exclusive. */
export interface TimeRange {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface RecordedEventsQuery extends TimeRange {
  /** Null: all tenants. */
  readonly tenantId: string | null;
}

/** Condition of a range; its parameters are those of `paramsOf`. */
export const inRange = `time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')`;
/** Refunds return units of Envoy's calls, whose decisions are not made again. */
const isReplayed = `type != '${refundEventType}' AND NOT voided`;

export function ofTenant(tenantId: string | null): string {
  return tenantId === null ? '' : 'AND tenant_id = {tenant:String}';
}

export function paramsOf({ fromMs, toMs, tenantId }: RecordedEventsQuery): Record<string, unknown> {
  return { from: fromMs, to: toMs, ...(tenantId === null ? {} : { tenant: tenantId }) };
}

/** Number of stored rows of each minute, in order of time. An event that was corrected may be counted twice. */
export async function countRecordedEvents(
  clickhouse: ClickHouseReader,
  query: RecordedEventsQuery,
  options: QueryOptions = {},
): Promise<{ readonly minuteMs: number; readonly rows: number }[]> {
  return clickhouse.query(
    `SELECT toInt64(toUnixTimestamp(toStartOfMinute(time))) * 1000 AS minuteMs, count() AS rows
    FROM stored_events WHERE ${inRange} AND ${isReplayed} ${ofTenant(query.tenantId)}
    GROUP BY minuteMs ORDER BY minuteMs`,
    paramsOf(query),
    options,
  );
}

/**
 * The events of a range in the order in which Redis decided them. Decisions of one call to Redis have
 * the same time: they were made in the order of their ids.
 */
export async function readRecordedEvents(
  clickhouse: ClickHouseReader,
  query: RecordedEventsQuery,
  options: QueryOptions = {},
): Promise<RecordedEvent[]> {
  const rows = await clickhouse.query<Row>(
    `SELECT toUnixTimestamp64Milli(time) AS timeMs, id_skew_ms AS skewMs, decided_after_us AS afterMicros,
      tenant_id AS tenantId, user_id AS userId, client_ip AS ip, plan, method, path, route, status, decision,
      limited_by AS limitedBy, units, toString(cost_exact) AS cost, latency_ms AS latencyMs, check_us AS checkMicros, degraded, service, entrypoint,
      api_key AS apiKey, model, type, policy_revision AS policyRevision,
      ${amountsText('reserved')} AS reserved, ${amountsText('quantities')} AS quantities
    FROM stored_events FINAL
    WHERE ${inRange} AND ${isReplayed} ${ofTenant(query.tenantId)}
    ORDER BY timeMs * 1000 + if(policy_revision = '', skewMs * 1000, afterMicros), timeMs + skewMs, id_a, id_b
    SETTINGS do_not_merge_across_partitions_select_final = 1`,
    paramsOf(query),
    options,
  );
  return rows.map(eventOf);
}

type Derived = 'kind' | 'decidedAtMs' | 'isTimeExact';
type Converted = 'tenantId' | 'userId' | 'cost' | 'reserved' | 'quantities';

interface Row extends Omit<RecordedEvent, Derived | Converted> {
  readonly skewMs: number;
  readonly afterMicros: number;
  readonly type: string;
  readonly tenantId: string;
  readonly userId: string;
  readonly cost: string;
  readonly reserved: AmountsAsText;
  readonly quantities: AmountsAsText;
}

function eventOf(row: Row): RecordedEvent {
  const { skewMs, afterMicros, tenantId, userId, type, cost, reserved, quantities, ...fields } = row;
  const isTimeExact = row.policyRevision !== '';
  return {
    ...fields,
    kind: type === requestEventType ? 'request' : 'usage',
    decidedAtMs: row.timeMs + (isTimeExact ? afterMicros / 1000 : skewMs),
    isTimeExact,
    ...callerOf(tenantId, userId),
    cost: cost === '0' ? 0n : parseMoney(cost),
    reserved: amountsOrNull(reserved),
    quantities: amountsOrNull(quantities),
  };
}

/** Tenant and user as events state them: null for none. */
export function callerOf(
  tenantId: string,
  userId: string,
): { readonly tenantId: string | null; readonly userId: string | null } {
  return {
    tenantId: tenantId === anonymousTenant ? null : tenantId,
    userId: userId === '' ? null : userId,
  };
}

function amountsOrNull(amounts: AmountsAsText): ExactAmounts | null {
  for (const _ in amounts) return parseAmounts(amounts);
  return null;
}

import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { amountsText, parseAmounts, withMoney } from '../../../shared/clickhouse/queries/decimals.ts';
import type { AmountsAsText, MoneyAsText } from '../../../shared/clickhouse/queries/decimals.ts';
import { noCallUsage } from '../../../shared/domain/events/call-usage.ts';
import type { CallUsage } from '../../../shared/domain/events/call-usage.ts';
import type { StoredEvent } from './stored-event.ts';

/** The identity of an event, and the range that contains its time. */
export interface WantedEvent {
  readonly tenantId: string;
  readonly idA: number;
  readonly idB: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * Largest number of events and of tenant names in one query. Numbers are part of the SQL text, which is sent in the
 * body; names are parameters in the URL, so fewer of them are allowed.
 */
const wantedPerQuery = 4_000;
const tenantsNamedMax = 200;
/**
 * Longest time between the earliest and the latest event of one query, because the query reads all rows between them.
 */
const spanMsMax = 2 * 3_600_000;

/** Returns the stored events with these identities, each within its time range and in its newest revision. */
export async function findStoredEvents(
  clickhouse: ClickHouse,
  wanted: readonly WantedEvent[],
): Promise<readonly StoredEvent[]> {
  const found: StoredEvent[] = [];
  for (const some of inSpans(wanted)) {
    const tenants = new Set(some.map(({ tenantId }) => tenantId));
    const rows = await clickhouse.query<StoredRow>(
      `SELECT toUnixTimestamp64Milli(time) AS timeMs, tenant_id AS tenantId, id_skew_ms AS idSkewMs, id_a AS idA,
        toString(id_b) AS idB, external_id AS externalId, revision,
        usage_revision AS usageRevision, voided, type, source, user_id AS userId, plan, method,
        route, path, status, decision, limited_by AS limitedBy, units, toString(cost_exact) AS cost, latency_ms AS latencyMs,
        check_us AS checkMicros, node, sequence, spool, degraded, client_ip AS clientIp, service, entrypoint, api_key AS apiKey,
        policy_revision AS policyRevision, decided_after_us AS decidedAfterMicros, properties,
        kafka_partition AS partition, kafka_offset AS offset,
        model, ${amountsText('quantities')} AS quantities, measures, usage_source AS usageSource, reservation,
        reservation_id AS reservationId, ${amountsText('reserved')} AS reserved,
        toUnixTimestamp(reserved_until) * 1000 AS reservedUntilMs, settlement
    FROM stored_events FINAL
    WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')
      AND id_b IN (${some.map(({ idB }) => String(BigInt(idB))).join(',')})
      ${tenants.size > tenantsNamedMax ? '' : 'AND tenant_id IN {tenants:Array(String)}'}`,
      {
        from: some.reduce((earliest, { fromMs }) => Math.min(earliest, fromMs), Infinity),
        to: some.reduce((latest, { toMs }) => Math.max(latest, toMs), 0),
        ...(tenants.size > tenantsNamedMax ? {} : { tenants: [...tenants] }),
      },
    );
    found.push(...rows.map(eventOf));
  }
  return found;
}

type StoredRow = MoneyAsText<Omit<StoredEvent, 'usage'>> &
  Omit<CallUsage, 'quantities' | 'reserved'> & {
    readonly quantities: AmountsAsText;
    readonly reserved: AmountsAsText;
  };

function eventOf(row: StoredRow): StoredEvent {
  const { model, quantities, measures, usageSource, reservation, reservationId, ...others } = row;
  const { reserved, reservedUntilMs, settlement, ...event } = others;
  const usage: CallUsage = {
    ...{ model, measures, usageSource, reservation, reservationId, reservedUntilMs, settlement },
    quantities: parseAmounts(quantities),
    reserved: parseAmounts(reserved),
  };
  const isUsed =
    `${model}${usageSource}${reservation}` !== '' || Object.keys({ ...quantities, ...measures }).length > 0;
  return { ...withMoney<Omit<StoredEvent, 'usage'>>(event), usage: isUsed ? usage : noCallUsage };
}

/** Groups the wanted events by time. Each group is small enough for one query. */
function* inSpans(wanted: readonly WantedEvent[]): Generator<readonly WantedEvent[]> {
  let some: WantedEvent[] = [];
  for (const one of wanted.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const [first] = some;
    const isFull =
      some.length >= wantedPerQuery || (first !== undefined && one.toMs - first.fromMs > spanMsMax);
    if (isFull) {
      yield some;
      some = [];
    }
    some.push(one);
  }
  if (some.length > 0) yield some;
}

import type { ClickHouseReader } from '../../client.ts';
import { amountsText, parseAmounts, parseMoney } from '../decimals.ts';
import type { AmountsAsText } from '../decimals.ts';
import { decisionSpan } from '../event-identity.ts';
import type { UsageEventRow } from '../usage.ts';
import type { ExactAmounts } from '../../../domain/events/call-usage.ts';
import type { Money } from '../../../domain/money.ts';

/** All that is recorded about one event. */
export interface EventDetail extends Omit<UsageEventRow, 'cost'> {
  readonly cost: Money;
  readonly api_key: string;
  readonly model: string;
  readonly quantities: ExactAmounts;
  readonly measures: Readonly<Record<string, number>>;
  readonly usage_source: string;
  /** `open`, `settled` or `cancelled`; empty without a reservation. */
  readonly reservation: string;
  readonly reservation_id: string;
  readonly reserved: ExactAmounts;
  readonly reserved_until: string;
  /** True if a correction has changed the event since it was recorded. */
  readonly corrected: boolean;
  /** Number of the settlement of the event's reservation; 0: none. */
  readonly settlement: number;
}

type DetailRow = Omit<EventDetail, 'cost' | 'quantities' | 'reserved' | 'corrected' | 'settlement'> & {
  readonly cost: string;
  readonly quantities: AmountsAsText;
  readonly reserved: AmountsAsText;
};

/**
 * Returns an event of the tenant by its id; null if the tenant has no such event. `atMs` is the time of the event. It is
 * needed for ids that do not contain it, because events are sorted by time.
 */
export async function eventById(
  clickhouse: ClickHouseReader,
  tenantId: string,
  id: string,
  atMs: number | null,
): Promise<EventDetail | null> {
  const span = atMs === null ? decisionSpan(id) : { id, from: atMs, to: atMs };
  if (span === null) return null;
  const [row] = await clickhouse.query<DetailRow>(
    `SELECT * REPLACE (toString(cost) AS cost, ${amountsText('quantities')} AS quantities,
      ${amountsText('reserved')} AS reserved)
    FROM usage_events
    WHERE tenant_id = {tenant:String} AND event_id = {id:String}
      AND time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')
    LIMIT 1`,
    { tenant: tenantId, ...span },
  );
  if (row === undefined) return null;
  const [stored] = await clickhouse.query<{ revision: number; settlement: number }>(
    `SELECT revision, settlement FROM stored_events FINAL
    WHERE tenant_id = {tenant:String} AND time = fromUnixTimestamp64Milli({at:Int64}, 'UTC')
      AND kafka_partition = {partition:UInt16} AND kafka_offset = {offset:UInt64}
    LIMIT 1`,
    {
      ...{ tenant: tenantId, at: Date.parse(row.time) },
      ...{ partition: row.kafka_partition, offset: row.kafka_offset },
    },
  );
  const { cost, quantities, reserved } = row;
  return {
    ...row,
    cost: parseMoney(cost),
    quantities: parseAmounts(quantities),
    reserved: parseAmounts(reserved),
    corrected: (stored?.revision ?? 0) > 0,
    settlement: stored?.settlement ?? 0,
  };
}

import type { ClickHouseReader } from '../../client.ts';

/** A target of a tenant's notifications whose newest alert with an attempt has an error. */
export interface FailingTarget {
  readonly tenant_id: string;
  readonly channel: string;
  /** The target without secrets. */
  readonly target: string;
  /** Messages of the time that have not arrived. */
  readonly messages: number;
  /** Error of the last attempt. */
  readonly error: string;
}

/**
 * Returns the targets whose newest alert since `sinceMs` with an attempt has an error, most failed messages first. An alert
 * that was dropped counts as well, although it has no attempt: its target answered 410 before and is disabled.
 */
export function failingTargets(
  clickhouse: ClickHouseReader,
  sinceMs: number,
  countMax: number,
): Promise<FailingTarget[]> {
  return clickhouse.query<FailingTarget>(
    `SELECT tenant_id, channel, target, countIf(a.error != '') AS messages,
      argMax(a.error, (a.time, alert_id)) AS error
    FROM alerts AS a
    WHERE a.time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND channel NOT IN ('', 'log') AND (attempts > 0 OR status = 'dropped')
    GROUP BY tenant_id, channel, target
    HAVING error != ''
    ORDER BY messages DESC, tenant_id, channel, target
    LIMIT {countMax:UInt32}`,
    { since: sinceMs, countMax },
  );
}

import { heartbeatTenant } from '../../shared/domain/identity.ts';
import { anonymousTenant } from '../../shared/domain/usage-event.ts';

/** Excludes callers without a tenant and the heartbeat of the pipeline: both are counted and are no customers. */
export const customers = `tenant_id NOT IN ('${anonymousTenant}', '${heartbeatTenant}')`;

const columns = 'tenant_id, plan, type, decision, requests, limited, cost';

/**
 * Rows of customers from the minute of `from` up to `until`, which is excluded: whole hours from the hourly totals, and
 * the minutes before and after them from the totals of minutes. With hours alone, an hour that the range contains only
 * in part would be dropped, or counted in full.
 */
function usageBetween(from: string, until: string): string {
  const firstHour = `toStartOfHour(${from} + INTERVAL 3599 SECOND, 'UTC')`;
  const lastHour = `toStartOfHour(${until}, 'UTC')`;
  return `(
  SELECT hour AS time, ${columns} FROM \${database}.usage_by_hour
  WHERE ${customers} AND hour >= ${firstHour} AND hour < ${lastHour}
  UNION ALL
  SELECT minute AS time, ${columns} FROM \${database}.usage_by_minute
  WHERE ${customers} AND minute >= toStartOfMinute(${from}) AND minute < ${until}
    AND (minute < ${firstHour} OR minute >= ${lastHour})
)`;
}

/** The shown time range; its last second is included. */
export const shownUsage = usageBetween('$__fromTime', '($__toTime + 1)');

/** The range of the same length before the shown one. */
export const usageBefore = usageBetween(
  '($__fromTime - ($__toTime - $__fromTime))',
  'toStartOfMinute($__fromTime)',
);

/**
 * Holds for intervals that are over and whose events are all stored. The current interval always has too few events and
 * would look like a drop.
 *
 * @param time an expression of the interval's start.
 */
export function isComplete(time: string): string {
  return `${time} + INTERVAL $__interval_s SECOND <= (SELECT if(count() = 0, now(), min(complete_through)) FROM \${database}.pipeline_progress FINAL)`;
}

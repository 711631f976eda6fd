import { heartbeatTenant } from '../../shared/domain/identity.ts';
import { anonymousTenant } from '../../shared/domain/usage-event.ts';

/**
 * Excludes callers without a tenant, and the heartbeat of the pipeline. Totals contain both, but they are not
 * customers.
 */
export const customers = `tenant_id NOT IN ('${anonymousTenant}', '${heartbeatTenant}')`;

const columns = 'tenant_id, plan, route, type, decision, model, requests, limited, cost, quantities';

/**
 * Usage of customers from the minute of `from` (inclusive) to `until` (exclusive). Whole hours are read from the
 * hourly totals; the minutes before the first and after the last whole hour are read from the totals of minutes. With
 * the hourly totals alone, a partly covered hour would be left out or counted as a whole.
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

/** Usage in the time range of the dashboard, including its last second. */
export const shownUsage = usageBetween('$__fromTime', '($__toTime + 1)');

/** Usage in the range of the same length directly before the time range of the dashboard. */
export const usageBefore = usageBetween(
  '($__fromTime - ($__toTime - $__fromTime))',
  'toStartOfMinute($__fromTime)',
);

/**
 * SQL condition for intervals that have ended and whose events are all stored. The current interval always has too few events and
 * would look like a drop.
 *
 * @param time an expression of the interval's start.
 */
export function isComplete(time: string): string {
  return `${time} + INTERVAL $__interval_s SECOND <= (SELECT if(count() = 0, now(), min(complete_through)) FROM \${database}.pipeline_progress FINAL)`;
}

import { setTimeout as wait } from 'node:timers/promises';
import { calendarOf } from '../../shared/domain/quota.ts';
import type { TenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { messageOf } from '../../shared/runtime/errors.ts';
import type { Logger } from '../../shared/runtime/logger.ts';

export interface CalendarChangesOptions {
  readonly tenants: TenantDirectory;
  /** Raises the quota counters of these tenants to the units that ClickHouse counts in the current periods. */
  readonly restore: (tenantIds: ReadonlySet<string>) => Promise<void>;
  readonly logger: Logger;
  readonly retryMs?: number;
}

/**
 * Raises the counters of a tenant whose time zone or billing day was changed. The tenant's periods then begin at other
 * times. A new period may begin before the old period began: only ClickHouse has the units of the time between the two
 * starts. Raising a counter also stores the start of its new period, so that its units do not count in the next one. An
 * announcement of totals would do the same, but a tenant without traffic has no announcements. Retries until it succeeds.
 * A change made while no reconciler runs waits for the tenant's next announcement.
 */
export function followCalendarChanges({
  tenants,
  restore,
  logger,
  retryMs = 1_000,
}: CalendarChangesOptions): {
  close(): Promise<void>;
} {
  /** Calendars by tenant; UTC is not stored. */
  const calendars = new Map<string, string>();
  const changed = new Set<string>();
  const closing = new AbortController();
  let restoring: Promise<void> = Promise.resolve();
  let busy = false;
  for (const record of tenants.all()) setCalendar(record.tenant_id, calendarOf(record));
  const stop = tenants.onChange((tenantId, record) => {
    // Records that are read while the directory is being filled after a start are not changes.
    if (!setCalendar(tenantId, calendarOf(record)) || !tenants.ready()) return;
    changed.add(tenantId);
    if (!busy) restoring = restoreChanged();
  });
  return {
    async close() {
      stop();
      closing.abort();
      await restoring;
    },
  };

  /** Returns true if the calendar differs from the tenant's previous calendar. */
  function setCalendar(tenantId: string, calendar: string | null): boolean {
    const before = calendars.get(tenantId) ?? null;
    if (calendar === null) calendars.delete(tenantId);
    else calendars.set(tenantId, calendar);
    return calendar !== before;
  }

  async function restoreChanged(): Promise<void> {
    busy = true;
    while (changed.size > 0 && !closing.signal.aborted) {
      const tenantIds = new Set(changed);
      changed.clear();
      try {
        await restore(tenantIds);
      } catch (error) {
        for (const tenantId of tenantIds) changed.add(tenantId);
        logger.warn(
          { err: error },
          `counters of tenants with a new calendar were not raised: ${messageOf(error)}`,
        );
        await wait(retryMs, undefined, { signal: closing.signal }).catch(() => undefined);
      }
    }
    busy = false;
  }
}

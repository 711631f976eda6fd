import { setTimeout as wait } from 'node:timers/promises';
import { zoneOf } from '../../shared/domain/quota.ts';
import type { TenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { messageOf } from '../../shared/runtime/errors.ts';
import type { Logger } from '../../shared/runtime/logger.ts';

export interface ZoneChangesOptions {
  readonly tenants: TenantDirectory;
  /** Raises the quota counters of these tenants to what ClickHouse counts in the periods that run now. */
  readonly heal: (tenantIds: ReadonlySet<string>) => Promise<void>;
  readonly logger: Logger;
  readonly againMs?: number;
}

/**
 * Raises the counters of a tenant whose time zone was changed. Its periods begin elsewhere from then on, and Redis does
 * not have what was used before the old period began: only ClickHouse does, and without traffic nothing is announced.
 * Tried again until it works. A change that is made while no reconciler runs waits for the tenant's next announcement.
 */
export function followZones({ tenants, heal, logger, againMs = 1_000 }: ZoneChangesOptions): {
  close(): Promise<void>;
} {
  /** Of tenants with a zone of their own; UTC is not kept. */
  const zones = new Map<string, string>();
  const changed = new Set<string>();
  const closing = new AbortController();
  let healing: Promise<void> = Promise.resolve();
  let busy = false;
  for (const record of tenants.all()) note(record.tenant_id, zoneOf(record));
  const stop = tenants.onChange((tenantId, record) => {
    // What is read while the directory fills is no change.
    if (!note(tenantId, zoneOf(record)) || !tenants.ready()) return;
    changed.add(tenantId);
    if (!busy) healing = healAll();
  });
  return {
    async close() {
      stop();
      closing.abort();
      await healing;
    },
  };

  /** Answers whether it is another zone than before. */
  function note(tenantId: string, zone: string | null): boolean {
    const before = zones.get(tenantId) ?? null;
    if (zone === null) zones.delete(tenantId);
    else zones.set(tenantId, zone);
    return zone !== before;
  }

  async function healAll(): Promise<void> {
    busy = true;
    while (changed.size > 0 && !closing.signal.aborted) {
      const tenantIds = new Set(changed);
      changed.clear();
      try {
        await heal(tenantIds);
      } catch (error) {
        for (const tenantId of tenantIds) changed.add(tenantId);
        logger.warn(
          { err: error },
          `counters of tenants with a new time zone not raised: ${messageOf(error)}`,
        );
        await wait(againMs, undefined, { signal: closing.signal }).catch(() => undefined);
      }
    }
    busy = false;
  }
}

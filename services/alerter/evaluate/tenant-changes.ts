import { boostTransitionsMs } from '../../../shared/domain/boost.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';

/**
 * Reacts to changes of a tenant's quotas that happen without traffic: a new record, a boost that begins or ends, a new
 * policy.
 */
export interface TenantChanges {
  /**
   * Evaluates all tenants with alerts again. Called when this alerter is assigned the first partition of the totals
   * topic: changes before that may not have been evaluated.
   */
  restart(): void;
  close(): Promise<void>;
}

export interface TenantChangesOptions {
  readonly tenants: TenantDirectory;
  /** Returns the tenants to which any alerter has sent an alert. */
  readonly notifiedTenants: () => Promise<readonly string[]>;
  /** Evaluates these tenants again. Resolves with false if another alerter has the first partition. */
  readonly reevaluate: (tenantIds: ReadonlySet<string>) => Promise<boolean>;
  readonly onPolicy: (listener: () => void) => () => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly intervalMs?: number;
}

/** Largest number of tenants in one query to ClickHouse. */
const tenantsAtOnceMax = 500;
/**
 * After a change of its record a tenant is evaluated at once, and again after this delay: another alerter that had not
 * read the change yet may have written an alert after the first evaluation.
 */
const againMs = 5_000;

export function followTenantChanges(options: TenantChangesOptions): TenantChanges {
  const { tenants, notifiedTenants, reevaluate, onPolicy, clock, logger, intervalMs = 500 } = options;
  /** Tenants that must be evaluated. */
  const due = new Set<string>();
  /** By tenant: Unix ms of the second evaluation. */
  const again = new Map<string, number>();
  /** By tenant: Unix ms at which a boost next begins or ends. */
  const boostChanges = new Map<string, number>();
  /** True while all tenants with alerts must be evaluated. */
  let allNotifiedDue = false;
  let busy: Promise<void> | null = null;

  for (const record of tenants.all()) scheduleBoostChange(record.tenant_id, record);
  const stops = [
    tenants.onChange((tenantId, record) => {
      scheduleBoostChange(tenantId, record);
      // Records that are read while the directory is first filled are not changes.
      if (tenants.ready()) changed([tenantId]);
    }),
    onPolicy(restart),
  ];
  const timer = setInterval(tick, intervalMs);
  return {
    restart,
    async close() {
      clearInterval(timer);
      for (const stop of stops) stop();
      await busy;
    },
  };

  function restart(): void {
    allNotifiedDue = true;
    tick();
  }

  function changed(tenantIds: readonly string[]): void {
    const nowMs = clock.now();
    for (const tenantId of tenantIds) {
      due.add(tenantId);
      again.set(tenantId, nowMs + againMs);
    }
    tick();
  }

  function scheduleBoostChange(tenantId: string, record: TenantRecord | null): void {
    const nowMs = clock.now();
    const next = Math.min(...boostTransitionsMs(record).filter((changeMs) => changeMs > nowMs));
    if (next === Infinity) boostChanges.delete(tenantId);
    else boostChanges.set(tenantId, next);
  }

  function tick(): void {
    const nowMs = clock.now();
    for (const [tenantId, changeMs] of boostChanges) {
      if (changeMs > nowMs) continue;
      scheduleBoostChange(tenantId, tenants.get(tenantId) ?? null);
      due.add(tenantId);
    }
    for (const [tenantId, atMs] of again) {
      if (atMs > nowMs) continue;
      again.delete(tenantId);
      due.add(tenantId);
    }
    if (allNotifiedDue || due.size > 0) busy ??= reevaluateDue().finally(() => (busy = null));
  }

  async function reevaluateDue(): Promise<void> {
    try {
      const all = allNotifiedDue;
      allNotifiedDue = false;
      if (all) for (const tenantId of await notifiedTenants()) due.add(tenantId);
    } catch (error) {
      allNotifiedDue = true;
      logger.warn({ err: error }, `the tenants with alerts are not read yet: ${messageOf(error)}`);
      return;
    }
    while (due.size > 0) {
      const tenantIds = new Set([...due].slice(0, tenantsAtOnceMax));
      for (const tenantId of tenantIds) due.delete(tenantId);
      try {
        // Another alerter has the first partition now. It evaluates all tenants with alerts when it gets the partition.
        if (!(await reevaluate(tenantIds))) {
          due.clear();
          return;
        }
      } catch (error) {
        for (const tenantId of tenantIds) due.add(tenantId);
        logger.warn({ err: error }, `changed tenants are not evaluated yet: ${messageOf(error)}`);
        return;
      }
    }
  }
}

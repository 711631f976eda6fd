import type { Boost, TenantRecord } from '../../shared/domain/tenant.ts';
import type { TenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import { messageOf } from '../../shared/runtime/errors.ts';
import type { Logger } from '../../shared/runtime/logger.ts';

/** What makes a tenant's quotas other than they were, without any traffic: records, boosts that begin or end, policies. */
export interface Changes {
  /** Begins anew: everybody of whom anything was told is judged, since nobody may have watched for a while. */
  restart(): void;
  close(): Promise<void>;
}

export interface ChangesOptions {
  readonly tenants: TenantDirectory;
  /** Tenants of whom anybody has told anything by now. */
  readonly told: () => Promise<readonly string[]>;
  /** Judges these tenants; false while that is not this process's task, or not yet. */
  readonly revisit: (tenantIds: ReadonlySet<string>) => Promise<boolean>;
  readonly onPolicy: (listener: () => void) => () => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly intervalMs?: number;
}

/** One reading of ClickHouse serves so many. */
const tenantsAtOnceMax = 500;
/** Another alerter may have judged an announcement by the record from before, and told so after this one looked. */
const againMs = 5_000;

export function followChanges(options: ChangesOptions): Changes {
  const { tenants, told, revisit, onPolicy, clock, logger, intervalMs = 500 } = options;
  /** Tenants to judge, and from when on. */
  const due = new Map<string, number>();
  const again = new Map<string, number>();
  /** When a boost of the tenant next begins or ends. */
  const turns = new Map<string, number>();
  /** Everybody is due of whom anything was told. */
  let everybody = false;
  let busy: Promise<void> | null = null;

  for (const record of tenants.all()) noteTurn(record.tenant_id, record);
  const stops = [
    tenants.onChange((tenantId, record) => {
      noteTurn(tenantId, record);
      // What is read while the directory fills is no change.
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
    everybody = true;
    tick();
  }

  function changed(tenantIds: readonly string[]): void {
    const nowMs = clock.now();
    for (const tenantId of tenantIds) {
      due.set(tenantId, nowMs);
      again.set(tenantId, nowMs + againMs);
    }
    tick();
  }

  function noteTurn(tenantId: string, record: TenantRecord | null): void {
    const nowMs = clock.now();
    const next = Math.min(...(record?.boosts ?? []).flatMap(turnsOf).filter((turn) => turn > nowMs));
    if (next === Infinity) turns.delete(tenantId);
    else turns.set(tenantId, next);
  }

  function tick(): void {
    const nowMs = clock.now();
    for (const [tenantId, turn] of turns) {
      if (turn > nowMs) continue;
      noteTurn(tenantId, tenants.get(tenantId) ?? null);
      due.set(tenantId, nowMs);
    }
    for (const [tenantId, atMs] of again) {
      if (atMs > nowMs) continue;
      again.delete(tenantId);
      due.set(tenantId, nowMs);
    }
    if (everybody || due.size > 0) busy ??= judgeDue().finally(() => (busy = null));
  }

  async function judgeDue(): Promise<void> {
    try {
      const all = everybody;
      everybody = false;
      if (all) for (const tenantId of await told()) due.set(tenantId, clock.now());
    } catch (error) {
      everybody = true;
      logger.warn({ err: error }, `what was told is not read yet: ${messageOf(error)}`);
      return;
    }
    while (due.size > 0) {
      const tenantIds = new Set([...due.keys()].slice(0, tenantsAtOnceMax));
      for (const tenantId of tenantIds) due.delete(tenantId);
      try {
        // Whose task it is begins with everybody.
        if (!(await revisit(tenantIds))) {
          due.clear();
          return;
        }
      } catch (error) {
        for (const tenantId of tenantIds) due.set(tenantId, clock.now());
        logger.warn({ err: error }, `changed tenants are not judged yet: ${messageOf(error)}`);
        return;
      }
    }
  }
}

function turnsOf({ starts_at, ends_at }: Boost): number[] {
  return [Date.parse(starts_at), Date.parse(ends_at)];
}

import type { AlertEvent } from '../../shared/domain/topics/alert.ts';
import { isExceeded, nothingToldOf, withEvent } from './sent-alerts.ts';
import type { Told } from './sent-alerts.ts';

/**
 * Everything told in the periods that are not long over, folded from the alerts topic. Adding an event twice, or two
 * events in either order, gives the same history, so it can be re-read from the topic at every start.
 */
export interface AlertHistory {
  add(event: AlertEvent): void;
  of(tenantId: string, limitName: string, period: string): Told | null;
  /** What was told of every limit and period of a tenant. */
  ofTenant(tenantId: string): Told[];
  /** Tenants of whom anything is remembered. */
  tenants(): string[];
  /** Limits exceeded in a period that is over by `nowMs`, whose tenants were not told that it is. */
  exceededAndOver(nowMs: number): Told[];
  /** Forgets periods that ended before the time given. */
  forgetBefore(timeMs: number): void;
  size(): number;
}

export function createAlertHistory(): AlertHistory {
  const entries = new Map<string, Told>();
  const keysOf = new Map<string, Set<string>>();
  const open = new Set<string>();
  return {
    add,
    of: (tenantId, limitName, period) => entries.get(keyOf(tenantId, limitName, period)) ?? null,
    ofTenant: (tenantId) => [...(keysOf.get(tenantId) ?? [])].flatMap((key) => entries.get(key) ?? []),
    tenants: () => [...keysOf.keys()],
    exceededAndOver,
    forgetBefore,
    size: () => entries.size,
  };

  function add(event: AlertEvent): void {
    if (event.kind === 'test') return;
    const key = keyOf(event.tenant_id, event.limit_name, event.period);
    const told = withEvent(entries.get(key) ?? nothingToldOf(event), event);
    entries.set(key, told);
    keysOf.set(event.tenant_id, (keysOf.get(event.tenant_id) ?? new Set()).add(key));
    if (isExceeded(told)) open.add(key);
    else open.delete(key);
  }

  function exceededAndOver(nowMs: number): Told[] {
    const over: Told[] = [];
    for (const key of open) {
      const told = entries.get(key);
      if (told !== undefined && told.periodEndsAtMs <= nowMs) over.push(told);
    }
    return over;
  }

  function forgetBefore(timeMs: number): void {
    for (const [key, told] of entries) {
      if (told.periodEndsAtMs >= timeMs) continue;
      entries.delete(key);
      open.delete(key);
      const keys = keysOf.get(told.tenantId);
      keys?.delete(key);
      if (keys?.size === 0) keysOf.delete(told.tenantId);
    }
  }
}

function keyOf(tenantId: string, limitName: string, period: string): string {
  return JSON.stringify([tenantId, limitName, period]);
}

import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import { isExceeded, noAlertsSent, withAlert } from './sent-alerts.ts';
import type { SentAlerts } from './sent-alerts.ts';

/**
 * The alerts sent in current and recent periods, read from the alerts topic. Adding an alert is idempotent and
 * commutative, so a process that reads the topic again after a restart gets the same history.
 */
export interface AlertHistory {
  add(event: AlertEvent): void;
  of(tenantId: string, limitName: string, period: string): SentAlerts | null;
  /** Returns one entry for each limit and period of a tenant. */
  ofTenant(tenantId: string): SentAlerts[];
  /** Returns the tenants that have an entry. */
  tenants(): string[];
  /** Returns the exceeded limits whose period ended by `nowMs` and for which no `recovered` alert was sent. */
  exceededAndOver(nowMs: number): SentAlerts[];
  /** Deletes the entries of periods that ended before `timeMs`. */
  forgetBefore(timeMs: number): void;
  size(): number;
}

export function createAlertHistory(): AlertHistory {
  const entries = new Map<string, SentAlerts>();
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
    const sent = withAlert(entries.get(key) ?? noAlertsSent(event), event);
    entries.set(key, sent);
    keysOf.set(event.tenant_id, (keysOf.get(event.tenant_id) ?? new Set()).add(key));
    if (isExceeded(sent)) open.add(key);
    else open.delete(key);
  }

  function exceededAndOver(nowMs: number): SentAlerts[] {
    const over: SentAlerts[] = [];
    for (const key of open) {
      const sent = entries.get(key);
      if (sent !== undefined && sent.periodEndsAtMs <= nowMs) over.push(sent);
    }
    return over;
  }

  function forgetBefore(timeMs: number): void {
    for (const [key, sent] of entries) {
      if (sent.periodEndsAtMs >= timeMs) continue;
      entries.delete(key);
      open.delete(key);
      const keys = keysOf.get(sent.tenantId);
      keys?.delete(key);
      if (keys?.size === 0) keysOf.delete(sent.tenantId);
    }
  }
}

function keyOf(tenantId: string, limitName: string, period: string): string {
  return JSON.stringify([tenantId, limitName, period]);
}

import { Counter, Gauge } from 'prom-client';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { allowedText } from '../unit-text.ts';

export interface NearlyUsedUp {
  /** Counts and names the quota of the alert, if at least 90 % of it is used. */
  add(alert: AlertEvent): void;
}

const shareMin = 0.9;
/** The range of the rule TollgateTenantOver90: quotas are named as long as the rule counts them. */
const namedMs = 15 * 60_000;
/** Most quotas that the metric names, so that its number of series is bounded. */
const namedMax = 20;

/** Metrics of quotas of which 90 % or more is used, for the alert that names their tenants. */
export function createNearlyUsedUp(registry: Registry, clock: Pick<Clock, 'now'>): NearlyUsedUp {
  const named = new Map<string, { readonly alert: AlertEvent; readonly atMs: number }>();
  const count = new Counter({
    name: 'tollgate_quotas_over_90_total',
    help: 'Alerts about a quota of which 90 % or more is used.',
    registers: [registry],
  });
  new Gauge({
    name: 'tollgate_quota_over_90_ratio',
    help: 'Used share of the quotas that went over 90 % in the last 15 minutes, of the 20 latest; `allowed` is the limit with its unit.',
    labelNames: ['tenant', 'limit', 'allowed'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [key, { alert, atMs }] of named) {
        if (clock.now() - atMs > namedMs) named.delete(key);
        else this.set(labelsOf(alert), alert.used / alert.limit);
      }
    },
  });
  return {
    add: (alert) => {
      const { kind, used, limit } = alert;
      if ((kind !== 'threshold' && kind !== 'exceeded') || used < shareMin * limit) return;
      count.inc();
      const key = JSON.stringify([alert.tenant_id, alert.limit_name]);
      named.delete(key);
      named.set(key, { alert, atMs: clock.now() });
      const [oldest] = named.keys();
      if (named.size > namedMax && oldest !== undefined) named.delete(oldest);
    },
  };
}

function labelsOf(alert: AlertEvent): { tenant: string; limit: string; allowed: string } {
  return {
    tenant: alert.tenant_id,
    limit: alert.limit_name,
    allowed: allowedText(alert),
  };
}

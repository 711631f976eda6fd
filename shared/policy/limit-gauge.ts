import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Limit } from '../domain/limit.ts';
import type { Policy } from '../domain/policy.ts';

/**
 * Exports the limits of the running policy as a metric, so that dashboards can show usage against limits without
 * reading the policy file. Each scrape reads the current policy: a changed limit appears at the next scrape, and a
 * removed limit disappears.
 */
export function registerLimitGauge(registry: Registry, current: () => Policy): void {
  new Gauge({
    name: 'tollgate_policy_limit_units',
    help: 'Amount that each limit of the running policy allows in its window, in the unit of its quantity, bursts not included; plan or route is empty if the limit has none.',
    labelNames: ['plan', 'route', 'limit', 'quantity', 'type', 'window_seconds'],
    registers: [registry],
    collect() {
      this.reset();
      const policy = current();
      const set = (plan: string, limits: readonly Limit[]): void => {
        for (const { name, of: quantity, type, route, windowMs, limit } of limits) {
          const labels = { plan, route: route ?? '', limit: name, quantity, type };
          const { decimals = 0 } = policy.quantities.get(quantity) ?? {};
          this.set({ ...labels, window_seconds: windowMs / 1000 }, limit / 10 ** decimals);
        }
      };
      for (const plan of policy.plans.values()) set(plan.name, plan.limits);
      for (const route of policy.routes) set('', route.limits);
      set('', policy.platform);
    },
  });
}

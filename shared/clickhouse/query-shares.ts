import { Gauge } from 'prom-client';
import { TollgateError } from '../runtime/errors.ts';
import type { Registry } from '../runtime/http/ops.ts';
import type { ClickHouseReader } from './client.ts';

export interface QueryShares {
  /**
   * A reader whose queries count as the tenant's. A query waits for its turn, and rejects with CLICKHOUSE_QUERIES_FULL
   * where too many of this tenant wait already. An aborted signal ends a query that waits or runs.
   */
  of(tenantId: string, signal?: AbortSignal): ClickHouseReader;
}

export interface QuerySharesOptions {
  readonly clickhouse: ClickHouseReader;
  readonly registry: Registry;
  /** Queries at once of all tenants; leave some of the client's connections for what belongs to no tenant. */
  readonly concurrentMax: number;
  readonly concurrentOfTenantMax: number;
  readonly waitingOfTenantMax: number;
}

interface Turn {
  readonly start: () => void;
  readonly tenant: Tenant;
}

interface Tenant {
  readonly id: string;
  running: number;
  readonly waiting: Turn[];
}

/**
 * Shares ClickHouse between tenants: each has a bounded number of queries running and waiting, and turns go round the
 * tenants, so that many queries of one tenant delay another's by one query at most.
 */
export function createQueryShares(options: QuerySharesOptions): QueryShares {
  const { clickhouse, concurrentMax, concurrentOfTenantMax, waitingOfTenantMax } = options;
  const tenants = new Map<string, Tenant>();
  let running = 0;
  reportQueries(
    options.registry,
    () => running,
    () => waitingOf(tenants.values()),
  );
  return {
    of: (tenantId, signal) => ({
      query: async (sql, params, given) => {
        const end = await turn(tenantId, signal);
        try {
          return await clickhouse.query(sql, params, signal === undefined ? given : { ...given, signal });
        } finally {
          end();
        }
      },
    }),
  };

  /** Resolves with how to end the turn. */
  function turn(tenantId: string, signal: AbortSignal | undefined): Promise<() => void> {
    const tenant = tenants.get(tenantId) ?? { id: tenantId, running: 0, waiting: [] };
    if (tenant.waiting.length >= waitingOfTenantMax) return Promise.reject(queriesFull());
    tenants.set(tenantId, tenant);
    return new Promise((resolve, reject) => {
      const one: Turn = {
        tenant,
        start: () => {
          signal?.removeEventListener('abort', leave);
          running += 1;
          tenant.running += 1;
          resolve(() => end(tenant));
        },
      };
      const leave = (): void => {
        tenant.waiting.splice(tenant.waiting.indexOf(one), 1);
        forget(tenant);
        reject(new TollgateError('CLICKHOUSE_UNAVAILABLE', 'The caller left before its query began.'));
      };
      if (signal?.aborted === true) {
        tenant.waiting.push(one);
        leave();
        return;
      }
      signal?.addEventListener('abort', leave, { once: true });
      tenant.waiting.push(one);
      startNext();
    });
  }

  function end(tenant: Tenant): void {
    running -= 1;
    tenant.running -= 1;
    forget(tenant);
    startNext();
  }

  /** A tenant that got a turn goes to the end of the round. */
  function startNext(): void {
    if (running >= concurrentMax) return;
    for (const tenant of tenants.values()) {
      const next = tenant.running < concurrentOfTenantMax ? tenant.waiting.shift() : undefined;
      if (next === undefined) continue;
      tenants.delete(tenant.id);
      tenants.set(tenant.id, tenant);
      next.start();
      startNext();
      return;
    }
  }

  function forget(tenant: Tenant): void {
    if (tenant.running === 0 && tenant.waiting.length === 0) tenants.delete(tenant.id);
  }
}

function queriesFull(): TollgateError {
  return new TollgateError(
    'CLICKHOUSE_QUERIES_FULL',
    'Too many queries of this tenant are under way; wait for their answers, then try again.',
  );
}

function waitingOf(tenants: Iterable<Tenant>): number {
  let sum = 0;
  for (const { waiting } of tenants) sum += waiting.length;
  return sum;
}

function reportQueries(registry: Registry, running: () => number, waiting: () => number): void {
  new Gauge({
    name: 'tollgate_tenant_queries',
    help: 'Queries of tenants to ClickHouse on this node, by state: running or waiting for a turn.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      this.set({ state: 'running' }, running());
      this.set({ state: 'waiting' }, waiting());
    },
  });
}

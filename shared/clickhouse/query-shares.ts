import { Gauge } from 'prom-client';
import { TollgateError } from '../runtime/errors.ts';
import type { Registry } from '../runtime/http/ops.ts';
import type { ClickHouseReader } from './client.ts';

export interface QueryShares {
  /**
   * Returns a reader whose queries count as queries of this tenant. A query waits until it may run. It rejects with
   * CLICKHOUSE_QUERIES_FULL if too many queries of the tenant are already waiting. Aborting the signal ends a waiting or running
   * query.
   */
  of(tenantId: string, signal?: AbortSignal): ClickHouseReader;
}

export interface QuerySharesOptions {
  readonly clickhouse: ClickHouseReader;
  readonly registry: Registry;
  /**
   * Largest number of queries of all tenants that run at once. It is less than the number of the client's connections,
   * so that queries without a tenant always have some connections.
   */
  readonly concurrentMax: number;
  readonly concurrentOfTenantMax: number;
  readonly waitingOfTenantMax: number;
}

interface WaitingQuery {
  readonly start: () => void;
  readonly tenant: Tenant;
}

interface Tenant {
  readonly id: string;
  running: number;
  readonly waiting: WaitingQuery[];
}

/**
 * Shares ClickHouse between tenants. Each tenant has a bounded number of running and waiting queries, and waiting queries start
 * round robin over tenants, so that many queries of one tenant delay a query of another tenant by at most one query.
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
      query: async (sql, params, options) => {
        const release = await acquire(tenantId, signal);
        try {
          return await clickhouse.query(sql, params, signal === undefined ? options : { ...options, signal });
        } finally {
          release();
        }
      },
    }),
  };

  /** Waits until a query of the tenant may run. Resolves with a function that the caller must call when the query has ended. */
  function acquire(tenantId: string, signal: AbortSignal | undefined): Promise<() => void> {
    const tenant = tenants.get(tenantId) ?? { id: tenantId, running: 0, waiting: [] };
    if (tenant.waiting.length >= waitingOfTenantMax) return Promise.reject(queriesFull());
    tenants.set(tenantId, tenant);
    return new Promise((resolve, reject) => {
      const one: WaitingQuery = {
        tenant,
        start: () => {
          signal?.removeEventListener('abort', leave);
          running += 1;
          tenant.running += 1;
          resolve(() => release(tenant));
        },
      };
      const leave = (): void => {
        tenant.waiting.splice(tenant.waiting.indexOf(one), 1);
        forget(tenant);
        reject(
          new TollgateError('CLICKHOUSE_UNAVAILABLE', 'The caller disconnected before its query started.'),
        );
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

  function release(tenant: Tenant): void {
    running -= 1;
    tenant.running -= 1;
    forget(tenant);
    startNext();
  }

  /** Starts a waiting query, if one may run. The tenant of the started query is then the last in the order of tenants. */
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
    'Too many queries of this tenant are running or waiting; wait for their responses, then try again.',
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
    help: 'Queries of tenants to ClickHouse on this node, by state: running, or waiting to start.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      this.set({ state: 'running' }, running());
      this.set({ state: 'waiting' }, waiting());
    },
  });
}

import { Gauge } from 'prom-client';
import type { LimitRequest, LimitRequestState, TenantRecord } from '../../domain/tenant.ts';
import type { Registry } from '../../runtime/http/ops.ts';

/** A request for a higher limit, with its tenant. */
export interface ListedRequest {
  readonly tenant_id: string;
  readonly display_name: string | null;
  readonly request: LimitRequest;
}

export interface RequestFilter {
  readonly state?: LimitRequestState | undefined;
  readonly tenantId?: string | undefined;
}

/** Requests of all tenants for higher limits. Open ones come first, the longest open one first; then the latest answers. */
export function listRequests(
  records: Iterable<TenantRecord>,
  { state, tenantId }: RequestFilter = {},
): readonly ListedRequest[] {
  const found: ListedRequest[] = [];
  for (const record of records) {
    if (record.limit_requests === undefined || (tenantId ?? record.tenant_id) !== record.tenant_id) continue;
    for (const request of record.limit_requests)
      if (state === undefined || request.state === state)
        found.push({ tenant_id: record.tenant_id, display_name: record.display_name ?? null, request });
  }
  return found.toSorted((a, b) => order(a.request, b.request));
}

/** Number of requests that wait for an answer of an operator. */
export function openRequestCount(records: Iterable<TenantRecord>): number {
  return listRequests(records, { state: 'open' }).length;
}

/** Exports the number of open requests as a metric. */
export function exportOpenRequests(registry: Registry, records: () => Iterable<TenantRecord>): void {
  new Gauge({
    name: 'tollgate_limit_requests_open',
    help: 'Requests of tenants for higher limits that no operator has answered. Every process exports the same number.',
    registers: [registry],
    collect() {
      this.set(openRequestCount(records()));
    },
  });
}

function order(a: LimitRequest, b: LimitRequest): number {
  if ((a.state === 'open') !== (b.state === 'open')) return a.state === 'open' ? -1 : 1;
  return a.state === 'open'
    ? a.created_at.localeCompare(b.created_at)
    : (b.closed_at ?? '').localeCompare(a.closed_at ?? '');
}

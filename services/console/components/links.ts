import type { FastifyRequest } from 'fastify';

/** Path and query of a page. */
export interface Address {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
}

/** Fields of the query that belong to one response and not to the address of a page. */
const passing = new Set(['part', 'wait', 'format', 'done']);

/** The address of the requested page. */
export function addressOf(request: FastifyRequest): Address {
  const query = request.query as Record<string, string>;
  return {
    path: request.url.split('?', 1)[0] ?? '',
    query: Object.fromEntries(Object.entries(query).filter(([name]) => !passing.has(name))),
  };
}

/** A link to the same page with some fields of the query replaced; null removes a field. */
export function linkWith({ path, query }: Address, changes: Readonly<Record<string, string | null>>): string {
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...query, ...changes }))
    if (value !== null && value !== '') fields.set(name, value);
  const text = fields.toString();
  return text === '' ? path : `${path}?${text}`;
}

/** Address at which a tenant requests a higher value of this limit. */
export function requestPath(limit: string): string {
  return `/requests?limit=${encodeURIComponent(limit)}`;
}

/** Address of the operators' page of a tenant. */
export function tenantHref(tenantId: string): string {
  return `/operator/tenants/${encodeURIComponent(tenantId)}`;
}

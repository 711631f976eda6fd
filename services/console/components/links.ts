import type { FastifyRequest } from 'fastify';
import type { Limit } from '../../../shared/domain/limit.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';

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

/** Link at which a tenant requests a higher value of this limit; null: a limit of a group cannot be requested. */
export function requestLink({ name, per }: Pick<Limit, 'name' | 'per'>): Html | null {
  if (per.includes('group')) return null;
  return html`<a href="/requests?limit=${encodeURIComponent(name)}">Request more</a>`;
}

/** Address of the operators' page of a tenant. */
export function tenantHref(tenantId: string): string {
  return `/operator/tenants/${encodeURIComponent(tenantId)}`;
}

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { disconnectSignal } from '../../../shared/runtime/http/disconnect-signal.ts';
import type { ConsoleParts } from '../console.ts';
import type { UsageReader } from '../usage-reader.ts';
import type { HtmlValue } from '../pages/html.ts';
import { page } from '../pages/layout.ts';
import type { NavItem, Notice } from '../pages/layout.ts';
import type { TenantSession } from '../sessions/signed.ts';
import { sendSignedOut, sessionsUnread } from '../sessions/signed-out.ts';
import { sessionOf } from '../sessions/cookies.ts';

/**
 * Who looks at the portal. `tenantId` comes from the signed session and from nowhere else: no page or endpoint of the
 * portal takes a tenant from its path, query or form, so a visitor cannot ask for another's data.
 */
export interface Visitor {
  readonly tenantId: string;
  readonly record: TenantRecord | null;
  /** Its queries to ClickHouse are its tenant's. */
  readonly usage: UsageReader;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the guard of routes for `portal-session`. */
    visitor: Visitor | null;
  }
}

export interface PageContent {
  readonly title: string;
  readonly body: HtmlValue;
  readonly scripts?: readonly string[];
  readonly status?: number;
  readonly notice?: Notice | null;
}

const nav: readonly NavItem[] = [
  { href: '/usage', label: 'Usage' },
  { href: '/history', label: 'History' },
  { href: '/refusals', label: 'Refusals' },
  { href: '/limits', label: 'Limits and plan' },
  { href: '/notifications', label: 'Notifications' },
  { href: '/guide', label: 'Handling 429' },
];

export type PageMaker = (
  visitor: Visitor,
  request: FastifyRequest,
  reply: FastifyReply,
) => PageContent | null | Promise<PageContent | null>;

/** Guard of the portal: without a session pages lead to the sign-in, and what scripts fetch answers 401. */
export async function requireVisitor(
  parts: ConsoleParts,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> {
  const reading = await parts.sessions.readTenant(sessionOf(request, 'tollgate_portal'));
  if (reading.kind === 'unknown') throw sessionsUnread();
  request.visitor = reading.kind === 'valid' ? visitorFrom(parts, reading.value, reply) : null;
  if (request.visitor !== null) return undefined;
  if (request.routeOptions.url?.startsWith('/data/') === true) return sendSignedOut(reply);
  return reply.redirect('/?reason=signed-out', 303);
}

/** The visitor that the guard found. */
export function guardedVisitor({ visitor }: FastifyRequest): Visitor {
  if (visitor === null) throw new Error('a route for visitors was reached without its guard');
  return visitor;
}

/** A page for the visitor. A maker that answered by itself returns null. */
export function forTenant(here: string, make: PageMaker) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const visitor = guardedVisitor(request);
    const content = await make(visitor, request, reply);
    if (content === null) return reply;
    return reply
      .code(content.status ?? 200)
      .header('cache-control', 'no-store')
      .type('text/html')
      .send(
        page({
          ...content,
          area: 'portal',
          nav,
          here,
          who: visitor.record?.display_name ?? visitor.tenantId,
        }),
      );
  };
}

/** For the sign-in, which needs no session. */
export async function hasSession({ sessions }: ConsoleParts, request: FastifyRequest): Promise<boolean> {
  return (await sessions.readTenant(sessionOf(request, 'tollgate_portal'))).kind === 'valid';
}

function visitorFrom(
  { directory, usage }: ConsoleParts,
  { tenantId }: TenantSession,
  reply: FastifyReply,
): Visitor {
  const record = directory.get(tenantId) ?? null;
  return { tenantId, record, usage: usage.ofTenant(tenantId, disconnectSignal(reply)) };
}

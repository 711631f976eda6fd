import type { FastifyReply, FastifyRequest } from 'fastify';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { disconnectSignal } from '../../../shared/runtime/http/disconnect-signal.ts';
import type { TenantSession } from '../../../shared/sessions/claims.ts';
import type { Sessions } from '../../../shared/sessions/sessions.ts';
import type { UsageReader } from '../../../shared/tenants/usage-reader.ts';
import { sendPage } from '../components/layout.ts';
import type { NavItem, PageContent } from '../components/layout.ts';
import { sendSignedOut, sessionToken, sessionsUnread } from '../sessions/cookies.ts';

/**
 * The signed-in tenant of a request. `tenantId` comes from the signed session only: no page or endpoint of the portal
 * takes a tenant from its path, query or form, so a visitor cannot request the data of another tenant.
 */
export interface Visitor {
  readonly tenantId: string;
  readonly record: TenantRecord | null;
  /** Reads ClickHouse within the tenant's share of queries. */
  readonly usage: UsageReader;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the guard of routes with the access `portal-session`. */
    visitor: Visitor | null;
  }
}

const nav: readonly NavItem[] = [
  { href: '/usage', label: 'Usage' },
  { href: '/history', label: 'History' },
  { href: '/refusals', label: 'Refusals' },
  { href: '/limits', label: 'Limits and plan' },
  { href: '/notifications', label: 'Notifications' },
  { href: '/guide', label: 'Handling 429' },
];

export interface VisitorSources {
  readonly sessions: Pick<Sessions, 'readTenant'>;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly usage: UsageReader;
}

/** Guard of the portal: without a session pages redirect to the sign-in, and data requests are answered with 401. */
export async function requireVisitor(
  sources: VisitorSources,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> {
  const reading = await sources.sessions.readTenant(sessionToken(request, 'tollgate_portal'));
  if (reading.kind === 'unknown') throw sessionsUnread();
  request.visitor = reading.kind === 'valid' ? visitorOf(sources, reading.value, reply) : null;
  if (request.visitor !== null) return undefined;
  if (request.routeOptions.url?.startsWith('/data/') === true) return sendSignedOut(reply);
  return reply.redirect('/?reason=signed-out', 303);
}

/** The visitor that the guard has set. */
export function guardedVisitor({ visitor }: FastifyRequest): Visitor {
  if (visitor === null) throw new Error('a route for visitors was reached without its guard');
  return visitor;
}

type ContentMaker = (
  visitor: Visitor,
  request: FastifyRequest,
  reply: FastifyReply,
) => PageContent | null | Promise<PageContent | null>;

/** Handler of a page for the visitor. `makeContent` returns null where it has sent another answer itself. */
export function forTenant(here: string, makeContent: ContentMaker) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const visitor = guardedVisitor(request);
    const content = await makeContent(visitor, request, reply);
    if (content === null) return reply;
    const who = visitor.record?.display_name ?? visitor.tenantId;
    return sendPage(reply, { ...content, area: 'portal', nav, here, who });
  };
}

function visitorOf(
  { directory, usage }: VisitorSources,
  { tenantId }: TenantSession,
  reply: FastifyReply,
): Visitor {
  const record = directory.get(tenantId) ?? null;
  return { tenantId, record, usage: usage.ofTenant(tenantId, disconnectSignal(reply)) };
}

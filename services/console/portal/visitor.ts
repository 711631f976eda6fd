import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Policy } from '../../../shared/domain/policy.ts';
import { scopeText } from '../../../shared/domain/tenant.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { zoneNamed } from '../../../shared/domain/time/calendar.ts';
import type { TenantSession } from '../../../shared/sessions/claims.ts';
import type { Sessions } from '../../../shared/sessions/sessions.ts';
import type { UsageReader } from '../../../shared/tenants/usage-reader.ts';
import { redirectBrowser } from '../browser/fragments.ts';
import { createParts } from '../browser/parts.ts';
import type { Parts } from '../browser/parts.ts';
import { html } from '../components/html.ts';
import { emptyState, sendPage, sendPart } from '../components/layout.ts';
import type { NavItem, PageContent } from '../components/layout.ts';
import { sessionToken, sessionsUnread } from '../sessions/cookies.ts';
import { accessOf } from '../sessions/portal-access.ts';
import type { PortalAccess } from '../sessions/portal-access.ts';

/**
 * The signed-in tenant of a request. `tenantId` comes only from the signed session. No page or endpoint of the portal
 * reads a tenant id from the path, the query or a form, so a visitor cannot request the data of another tenant.
 */
export interface Visitor {
  readonly tenantId: string;
  readonly record: TenantRecord | null;
  /** Time zone of the tenant's days and of the times on its pages. */
  readonly zone: string;
  readonly access: PortalAccess;
  /** The session of the request. */
  readonly session: TenantSession;
  /** Queries to ClickHouse, which count against the tenant's share of queries. */
  readonly usage: UsageReader;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The guard of routes with the access `portal-session` sets it. */
    visitor: Visitor | null;
  }
}

const nav: readonly NavItem[] = [
  { href: '/usage', label: 'Now' },
  { href: '/history', label: 'History' },
  { href: '/spend', label: 'Spend' },
  { href: '/refusals', label: 'Refusals' },
  { href: '/events', label: 'Events' },
  { href: '/limits', label: 'Limits and plan' },
  { href: '/keys', label: 'API keys' },
  { href: '/sessions', label: 'Sessions' },
  { href: '/notifications', label: 'Notifications' },
  { href: '/guide', label: 'Handling 429' },
];

export interface VisitorSources {
  readonly sessions: Pick<Sessions, 'readTenant'>;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly usage: UsageReader;
  readonly policy: () => Policy;
}

/**
 * Guard of the portal. Without a session, the browser is redirected to the sign-in. A session of a key that may only read
 * can change nothing: its forms are answered with 403, whichever route they are for.
 */
export async function requireVisitor(
  sources: VisitorSources,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> {
  const reading = await sources.sessions.readTenant(sessionToken(request, 'tollgate_portal'));
  if (reading.kind === 'unknown') throw sessionsUnread();
  request.visitor = reading.kind === 'valid' ? visitorOf(sources, reading.value, reply) : null;
  if (request.visitor !== null) return refuseChange(request.visitor, request, reply);
  return redirectBrowser(request, reply, '/?reason=signed-out');
}

function refuseChange(
  visitor: Visitor,
  { method }: FastifyRequest,
  reply: FastifyReply,
): FastifyReply | undefined {
  if (visitor.access.mayManage || method === 'GET' || method === 'HEAD') return undefined;
  const text = `The API key of this session may do: ${scopeText(visitor.access.scope)}. To change something, sign in with a key that has the permission manage, or by a portal link.`;
  return sendFrame(reply, visitor, '', {
    title: 'Not changed',
    status: 403,
    body: html`<section class="card">${emptyState('Nothing was changed', text)}</section>`,
  });
}

/** The visitor of the request, set by the guard. */
export function guardedVisitor({ visitor }: FastifyRequest): Visitor {
  if (visitor === null) throw new Error('a route for visitors was reached without its guard');
  return visitor;
}

/** A request for a page of the visitor. */
export interface Visit {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly parts: Parts;
}

type ContentMaker = (visitor: Visitor, visit: Visit) => PageContent | null | Promise<PageContent | null>;

/**
 * Handler of a page for the visitor, and of the parts of the page. `makeContent` returns null if it has already sent
 * another response. A form is answered with the page to which it belongs: `pageOf` returns the address of this page, at
 * which the browser requests its parts; absent: `here`.
 */
export function forTenant(
  here: string,
  makeContent: ContentMaker,
  pageOf: (request: FastifyRequest) => string = () => here,
) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const visitor = guardedVisitor(request);
    const parts = createParts(request, request.method === 'POST' ? { url: pageOf(request) } : {});
    const content = await makeContent(visitor, { request, reply, parts });
    if (content === null) return reply;
    if (parts.wanted !== null) return sendPart(reply, parts.wanted);
    return sendFrame(reply, visitor, here, content);
  };
}

function sendFrame(
  reply: FastifyReply,
  { record, tenantId, access }: Visitor,
  here: string,
  content: PageContent,
): FastifyReply {
  const who = record?.display_name ?? tenantId;
  const shown = nav.filter(({ href }) => href !== '/keys' || access.keys !== 'off');
  return sendPage(reply, { ...content, area: 'portal', nav: shown, here, who });
}

function visitorOf(
  { directory, usage, policy }: VisitorSources,
  session: TenantSession,
  reply: FastifyReply,
): Visitor | null {
  const { tenantId, source } = session;
  const record = directory.get(tenantId) ?? null;
  const access = accessOf(policy(), record, source);
  if (access === null) return null;
  // After the response, also one with placeholders, no query of this request is needed.
  const sent = new AbortController();
  reply.raw.once('close', () => sent.abort());
  const zone = zoneNamed(record?.time_zone) ?? 'UTC';
  return { tenantId, record, zone, access, session, usage: usage.ofTenant(tenantId, sent.signal) };
}

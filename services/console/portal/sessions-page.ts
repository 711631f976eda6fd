import type { FastifyInstance } from 'fastify';
import { apiKeyId, apiKeysOf } from '../../../shared/domain/tenant.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import type { AuditLog } from '../../../shared/kafka/audit-log.ts';
import { tenantOwner } from '../../../shared/sessions/claims.ts';
import type { TenantSession } from '../../../shared/sessions/claims.ts';
import type { EndedSessions } from '../../../shared/sessions/ended-sessions.ts';
import type { PortalLinks } from '../../../shared/sessions/portal-links.ts';
import type { SessionList } from '../../../shared/sessions/session-list.ts';
import type { ListedLink, ListedSession, Sessions } from '../../../shared/sessions/sessions.ts';
import { html } from '../components/html.ts';
import type { Html, HtmlValue } from '../components/html.ts';
import { emptyState } from '../components/layout.ts';
import type { Notice, PageContent } from '../components/layout.ts';
import { table } from '../components/table.ts';
import type { Column } from '../components/table.ts';
import { clientText, endForm, fullHint, sessionColumns } from '../sessions/session-columns.ts';
import { isOfSameHolder } from '../sessions/portal-access.ts';
import { viaText } from '../sessions/sign-in-facts.ts';
import { forTenant } from './visitor.ts';
import type { Visit, Visitor } from './visitor.ts';

export interface SessionSources {
  readonly sessions: Pick<Sessions, 'listTenant' | 'listLinks'>;
  readonly sessionList: Pick<SessionList, 'isFull' | 'ready'>;
  readonly endedSessions: Pick<EndedSessions, 'end' | 'endOthers'>;
  readonly portalLinks: Pick<PortalLinks, 'end'>;
  readonly audit: Pick<AuditLog, 'append'>;
}

const here = '/sessions';

/**
 * Page of the live sessions and portal links of the tenant, each of which can be ended. A session that does not manage
 * sessions sees and ends only those of its own key, link or user.
 */
export function registerSessions(app: FastifyInstance, sources: SessionSources): void {
  app.get(
    here,
    forTenant(here, (visitor, visit) => sessionsPage(sources, visitor, visit)),
  );
  app.post(
    `${here}/:id/end`,
    forTenant(here, (visitor, visit) => endOne(sources, visitor, visit)),
  );
  app.post(
    `${here}/end-others`,
    forTenant(here, (visitor, visit) => endOthers(sources, visitor, visit)),
  );
  app.post(
    `${here}/links/:id/revoke`,
    forTenant(here, (visitor, visit) => revokeLink(sources, visitor, visit)),
  );
}

const notices = new Map<string | undefined, Notice>(
  Object.entries({
    ended: { tone: 'good', text: 'Ended. The next request of that session is refused.' },
    others: { tone: 'good', text: 'All other sessions and portal links have ended.' },
    revoked: { tone: 'good', text: 'Revoked. The link and the sessions that it opened have ended.' },
    gone: { tone: 'bad', text: 'This had already ended.' },
  }),
);

async function endOne(
  { sessions, endedSessions, audit }: SessionSources,
  visitor: Visitor,
  visit: Visit,
): Promise<null> {
  const { tenantId, access } = visitor;
  const session = visibleSessions(sessions, visitor).find(({ id }) => id === idOf(visit));
  if (session === undefined) return redirected(visit, 'gone');
  const detail = `Session ended that was opened with ${viaText(session.source)}`;
  const entry = { action: 'session-end', detail, facts: { session: session.id } };
  await audit.append({ ...access.actor, ...entry, tenant_id: tenantId });
  await endedSessions.end(session);
  return redirected(visit, 'ended');
}

async function endOthers(
  { endedSessions, audit }: SessionSources,
  { tenantId, access, session }: Visitor,
  visit: Visit,
): Promise<PageContent | null> {
  if (!access.managesSessions) return notAllowed;
  const entry = { action: 'sessions-end', detail: 'All other portal links and sessions ended' };
  await audit.append({ ...access.actor, ...entry, tenant_id: tenantId, facts: { kept: session.id } });
  await endedSessions.endOthers(session.owner, keptIds(session));
  return redirected(visit, 'others');
}

async function revokeLink(
  { sessions, portalLinks }: SessionSources,
  { tenantId, access }: Visitor,
  visit: Visit,
): Promise<PageContent | null> {
  if (!access.managesSessions) return notAllowed;
  const link = sessions.listLinks(tenantId).find(({ id }) => id === idOf(visit));
  if (link === undefined) return redirected(visit, 'gone');
  await portalLinks.end(tenantId, link.id, access.actor);
  return redirected(visit, 'revoked');
}

const ownOnlyText =
  'You see your own sessions here. To see and end others, sign in with an API key that may manage, or by a link of an admin of your provider.';

/** The answer to a form of a session that does not manage sessions. */
const notAllowed: PageContent = {
  title: 'Sessions',
  status: 403,
  body: html`<section class="card">${emptyState('Nothing was ended', ownOnlyText)}</section>`,
};

function visibleSessions(
  sessions: SessionSources['sessions'],
  { tenantId, access, session: own }: Visitor,
): readonly ListedSession<TenantSession>[] {
  const live = sessions.listTenant(tenantId);
  return access.managesSessions ? live : live.filter((session) => isOfSameHolder(own, session));
}

/** The session and the link that opened it, without which it would end. */
function keptIds({ id, source }: TenantSession): readonly string[] {
  return source.via === 'link' ? [id, source.linkId] : [id];
}

function idOf({ request }: Visit): string {
  return (request.params as { readonly id: string }).id;
}

async function redirected({ reply }: Visit, done: string): Promise<null> {
  await reply.redirect(`${here}?done=${done}`, 303);
  return null;
}

function sessionsPage(sources: SessionSources, visitor: Visitor, { request }: Visit): PageContent {
  const { sessions, sessionList } = sources;
  const { tenantId, access } = visitor;
  const ready = sessionList.ready();
  const owner = tenantOwner(tenantId);
  const body = html`<div class="page-head">
      <div>
        <h1>Sessions</h1>
        <p class="lead">
          ${access.managesSessions ? 'Who is signed in to this portal, and the links that open it.' : ownOnlyText}
        </p>
      </div>
      ${
        access.managesSessions
          ? html`<form class="plain" method="post" action="${here}/end-others">
              <button class="danger" type="submit">End all other sessions and links</button>
            </form>`
          : null
      }
    </div>
    <section class="card">
      <h2 class="card-head">Signed in now</h2>
      ${sessionTable(ready ? visibleSessions(sessions, visitor) : null, visitor)}
      ${sessionList.isFull(owner, 'session') ? fullHint('sessions') : null}
    </section>
    ${access.managesSessions ? linkSection(sources, visitor) : null}`;
  const { done } = request.query as { readonly done?: string };
  return { title: 'Sessions', body, notice: notices.get(done) ?? null };
}

function linkSection({ sessions, sessionList }: SessionSources, visitor: Visitor): Html {
  const { tenantId } = visitor;
  const isFull = sessionList.isFull(tenantOwner(tenantId), 'link');
  return html`<section class="card">
    <h2 class="card-head">Portal links</h2>
    ${linkTable(sessionList.ready() ? sessions.listLinks(tenantId) : null, visitor)}
    ${isFull ? fullHint('links') : null}
    <p class="soft small">
      Your provider issues them. Each opens this portal for its holder until it ends; a revoked link ends the
      sessions that it opened.
    </p>
  </section>`;
}

function sessionTable(live: readonly ListedSession<TenantSession>[] | null, visitor: Visitor): Html {
  const { zone, session: own, access } = visitor;
  return table({
    caption: 'Signed in now',
    rows: live,
    empty: emptyState('No session is listed', 'A session is listed with its next request.'),
    columns: [
      {
        title: 'Signed in with',
        kind: 'head',
        cell: (session) =>
          html`${sourceText(session, visitor)}
            ${session.id === own.id ? html`<span class="badge plain">this session</span>` : null}<br /><span
              class="soft small"
              >${clientText(session)}</span
            >`,
      },
      ...sessionColumns(zone),
      ...(access.mayManage ? [endColumn(own.id)] : []),
    ],
  });
}

function endColumn(ownId: string): Column<ListedSession<TenantSession>> {
  return {
    title: '',
    cell: ({ id, startedAtMs }) =>
      id === ownId ? null : endForm(`${here}/${id}/end`, 'End', `the session of ${formatTime(startedAtMs)}`),
  };
}

/** How the session was opened, with the name of the key. */
function sourceText({ source }: TenantSession, { record }: Visitor): HtmlValue {
  switch (source.via) {
    case 'api_key': {
      const keyId = apiKeyId(source.keySha256);
      const keys = record === null ? [] : apiKeysOf(record);
      const key = keys.find(({ sha256 }) => sha256 === source.keySha256);
      return html`API key ${key?.name ?? 'without a name'} <code>${keyId}</code>`;
    }
    case 'link':
      return 'Portal link by your provider';
    case 'jwt':
      return source.userId === null ? 'Access token' : `Access token of user ${source.userId}`;
  }
}

function linkTable(links: readonly ListedLink[] | null, { zone, session: { source } }: Visitor): Html {
  const isOwn = (id: string): boolean => source.via === 'link' && source.linkId === id;
  const columns: readonly Column<ListedLink>[] = [
    {
      title: 'Issued by',
      kind: 'head',
      cell: ({ id }) =>
        html`your provider ${isOwn(id) ? html`<span class="badge plain">this session</span>` : null}`,
    },
    { title: 'Issued', kind: 'time', cell: ({ startedAtMs }) => formatTime(startedAtMs, zone) },
    { title: 'Works until', kind: 'time', cell: ({ expiresAtMs }) => formatTime(expiresAtMs, zone) },
    {
      title: 'Last used',
      kind: 'time',
      cell: ({ usedAtMs }) => (usedAtMs === null ? 'not used' : formatTime(usedAtMs, zone)),
    },
  ];
  const revoke: Column<ListedLink> = {
    title: '',
    cell: ({ id, startedAtMs }) =>
      endForm(
        `${here}/links/${id}/revoke`,
        isOwn(id) ? 'Revoke and sign out' : 'Revoke',
        `the link of ${formatTime(startedAtMs, zone)}`,
      ),
  };
  return table({
    caption: 'Portal links',
    rows: links,
    empty: emptyState('No link is live', 'A new link is listed here until it ends.'),
    columns: [...columns, revoke],
  });
}

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AuditLog } from '../../../shared/kafka/audit-log.ts';
import { operatorsOwner } from '../../../shared/sessions/claims.ts';
import type { EndedSessions } from '../../../shared/sessions/ended-sessions.ts';
import type { OperatorsFile } from '../../../shared/sessions/operators-file.ts';
import type { SessionList } from '../../../shared/sessions/session-list.ts';
import type { ListedSession, Sessions, SignedInOperator } from '../../../shared/sessions/sessions.ts';
import { formOf } from '../components/form-body.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';
import { table } from '../components/table.ts';
import { clientText, endForm, fullHint, sessionColumns } from '../sessions/session-columns.ts';
import { viaText } from '../sessions/sign-in-facts.ts';
import { actionForOperator, forOperator, mayUse } from './signed-in.ts';
import { counted } from '../../../shared/domain/text/counted.ts';

export interface OperatorSessionSources {
  readonly sessions: Pick<Sessions, 'listOperators'>;
  readonly operatorsFile: Pick<OperatorsFile, 'refused'>;
  readonly sessionList: Pick<SessionList, 'isFull' | 'ready'>;
  readonly endedSessions: Pick<EndedSessions, 'end'>;
  readonly audit: Pick<AuditLog, 'append'>;
}

type Row = ListedSession<SignedInOperator>;

const here = '/operator/sessions';

/** Page of the operators who are signed in. Operators end sessions of their own, admins those of all operators. */
export function registerOperatorSessions(app: FastifyInstance, sources: OperatorSessionSources): void {
  app.get(
    here,
    forOperator(here, ({ request }) => sessionsPage(sources, request)),
  );
  app.post(
    `${here}/:id/end`,
    actionForOperator('viewer', (name, request, reply) => end(sources, name, request, reply)),
  );
  app.post(
    `${here}/end-others`,
    actionForOperator('viewer', (name, request, reply) => endOthers(sources, name, request, reply)),
  );
}

async function end(
  { sessions, endedSessions, audit }: OperatorSessionSources,
  name: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { id } = request.params as { readonly id: string };
  const session = sessions.listOperators().find((one) => one.id === id);
  if (session === undefined || !mayEnd(request, session))
    return reply.redirect(`${here}?done=session-gone`, 303);
  const detail = `Session of the operator ${session.name} ended, opened with ${viaText(session.source)}`;
  await audit.append({ actor: name, action: 'session-end', detail, facts: { session: id } });
  await endedSessions.end(session);
  return reply.redirect(`${here}?done=session-ended`, 303);
}

/** Ends the listed sessions of the operator whom the form names, except the session of this request. */
async function endOthers(
  { sessions, endedSessions, audit }: OperatorSessionSources,
  actor: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const name = formOf(request).get('name');
  const ending = sessions
    .listOperators()
    .filter((one) => one.name === name && one.id !== request.operatorSessionId && mayEnd(request, one));
  if (ending.length === 0) return reply.redirect(`${here}?done=session-gone`, 303);
  const detail = `${counted(ending.length, 'session')} of the operator ${name} ended`;
  await audit.append({ actor, action: 'sessions-end', detail, facts: {} });
  for (const session of ending) await endedSessions.end(session);
  return reply.redirect(`${here}?done=session-ended`, 303);
}

/**
 * An operator's own sessions are those with the same name. Two people can have one name, for example if an operator is
 * added to the file while a session of single sign-on with this name is open; they can then end each other's sessions.
 */
function mayEnd(request: FastifyRequest, { name }: Row): boolean {
  return mayUse(request, 'admin') || request.operator?.name === name;
}

function sessionsPage(
  { sessions, sessionList, operatorsFile }: OperatorSessionSources,
  request: FastifyRequest,
): PageContent {
  const refused = operatorsFile.refused();
  const isFull = sessionList.isFull(operatorsOwner, 'session');
  const own = request.operator?.name ?? '';
  const body = html`<div class="page-head">
      <div>
        <h1>Signed-in operators</h1>
        <p class="lead">
          ${mayUse(request, 'admin') ? 'You can end the session of any operator.' : 'You can end your own sessions, and an admin can end all of them.'}
          The next request of an ended session is refused.
        </p>
      </div>
      ${endAllForm(own, 'End all my other sessions', '')}
    </div>
    ${refused === null ? null : refusedNotice(refused, request)}
    <section class="card stack">
      ${sessionTable(sessionList.ready() ? sessions.listOperators() : null, request)}
      ${isFull ? fullHint('sessions') : null}
    </section>`;
  return { title: 'Signed-in operators', body };
}

/** Violations name operators and paths of the server, which only admins may read. */
function refusedNotice(refused: string, request: FastifyRequest): Html {
  return html`<p class="notice bad" role="alert">
    The file of operators has an error, so the operators before the last edit stay in
    force.${mayUse(request, 'admin') ? html` <code>${refused}</code>` : null}
  </p>`;
}

function sessionTable(rows: readonly Row[] | null, request: FastifyRequest): Html {
  return table<Row>({
    caption: 'Signed-in operators',
    rows,
    empty: emptyState('No session is listed', 'A session is listed with its next request.'),
    columns: [
      {
        title: 'Operator',
        kind: 'head',
        cell: (session) =>
          html`${session.name}
            ${session.id === request.operatorSessionId ? html`<span class="badge plain">this session</span>` : null}<br /><span
              class="soft small"
              >${viaText(session.source)}, ${clientText(session)}</span
            >`,
      },
      { title: 'Role', cell: ({ role }) => role },
      ...sessionColumns(),
      {
        title: '',
        cell: (session) =>
          mayEnd(request, session) && session.id !== request.operatorSessionId
            ? html`${endForm(`${here}/${session.id}/end`, 'End', `the session of ${session.name}`)}
              ${session.name === request.operator?.name ? null : endAllForm(session.name, 'End all', `sessions of ${session.name}`)}`
            : null,
      },
    ],
  });
}

/** A button that ends all other sessions of the operator with this name. `what` completes the label for screen readers. */
function endAllForm(name: string, label: string, what: string): Html {
  return endForm(
    `${here}/end-others`,
    label,
    what,
    html`<input type="hidden" name="name" value="${name}" />`,
  );
}

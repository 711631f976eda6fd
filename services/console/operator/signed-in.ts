import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ConsoleParts } from '../console.ts';
import { page } from '../pages/layout.ts';
import type { NavItem, Notice } from '../pages/layout.ts';
import type { PageContent } from '../portal/visitor.ts';
import { sessionOf } from '../sessions/cookies.ts';
import { sendSignedOut, sessionsUnread } from '../sessions/signed-out.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Name of the signed-in operator; set by the guard of routes for `operator-session`. */
    operator: string | null;
  }
}

const nav: readonly NavItem[] = [
  { href: '/operator/tenants', label: 'Tenants' },
  { href: '/operator/growth', label: 'Growth and cost' },
  { href: '/operator/pipeline', label: 'Pipeline' },
  { href: '/operator/dead-letters', label: 'Dead letters' },
  { href: '/operator/audit', label: 'Audit' },
];

/** A page for a signed-in operator; `make` gets the name the operator gave. */
export function forOperator(
  here: string,
  make: (name: string, request: FastifyRequest) => PageContent | Promise<PageContent>,
) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const name = guardedOperator(request);
    const content = await make(name, request);
    return sendOperatorPage(reply, name, here, content, noticeOf(request));
  };
}

/** An action of a form: does it, then shows the page it came from with what happened. */
export function actionForOperator(
  act: (name: string, request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>,
) {
  return (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    return act(guardedOperator(request), request, reply);
  };
}

export function sendOperatorPage(
  reply: FastifyReply,
  name: string,
  here: string,
  content: PageContent,
  notice: Notice | null,
): FastifyReply {
  return reply
    .code(content.status ?? 200)
    .header('cache-control', 'no-store')
    .type('text/html')
    .send(page({ ...content, area: 'operator', nav, here, who: name, notice: content.notice ?? notice }));
}

/** Guard of the operator console: without a session pages lead to the sign-in, and what scripts fetch answers 401. */
export async function requireOperator(
  parts: ConsoleParts,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> {
  const reading = await parts.sessions.readOperator(sessionOf(request, 'tollgate_operator'));
  if (reading.kind === 'unknown') throw sessionsUnread();
  request.operator = reading.kind === 'valid' ? reading.value.name : null;
  if (request.operator !== null) return undefined;
  if (request.routeOptions.url?.startsWith('/operator/data/') === true) return sendSignedOut(reply);
  return reply.redirect('/operator?reason=signed-out', 303);
}

/** The name of the operator that the guard found. */
function guardedOperator({ operator }: FastifyRequest): string {
  if (operator === null) throw new Error('a route for operators was reached without its guard');
  return operator;
}

/** What an action did travels to the next page in its address, as one of these words only. */
const notices = new Map<unknown, string>(
  Object.entries({
    saved: 'Saved. Gateways follow within seconds.',
    boosted: 'Limit raised. Gateways follow within seconds.',
    'boost-ended': 'Boost ended.',
    blocked: 'Tenant blocked.',
    unblocked: 'Block lifted.',
    reset: 'Counters reset.',
    'key-deleted': 'API key deleted. The portal sessions that it opened have ended.',
    'sessions-ended': 'All portal links and sessions of this tenant have ended.',
    replayed: 'Sent again. If it still cannot be read, it comes back as a new dead letter.',
  }),
);

const failures = new Map<unknown, string>(
  Object.entries({
    'letter-gone': 'This dead letter is no longer there.',
    'letter-cut':
      'Not sent: the letter holds only the beginning of its record, or names a topic that is not Tollgate’s.',
  }),
);

function noticeOf(request: FastifyRequest): Notice | null {
  const { done = '' } = request.query as { done?: string };
  const failure = failures.get(done);
  if (failure !== undefined) return { tone: 'bad', text: failure };
  const text = notices.get(done);
  return text === undefined ? null : { tone: 'good', text };
}

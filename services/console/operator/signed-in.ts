import type { FastifyReply, FastifyRequest } from 'fastify';
import { hasRole } from '../../../shared/domain/operators/operator.ts';
import type { Operator, Role } from '../../../shared/domain/operators/operator.ts';
import type { Sessions } from '../../../shared/sessions/sessions.ts';
import { isFragmentRequest, redirectBrowser } from '../browser/fragments.ts';
import { createParts } from '../browser/parts.ts';
import type { Parts } from '../browser/parts.ts';
import { html } from '../components/html.ts';
import { emptyState, sendPage, sendPart } from '../components/layout.ts';
import type { NavItem, Notice, PageContent } from '../components/layout.ts';
import { sessionToken, sessionsUnread } from '../sessions/cookies.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The signed-in operator. The guard of routes with the access `operator-session` sets it. */
    operator: Operator | null;
    /** Id of the operator's session; empty if no operator is signed in. */
    operatorSessionId: string;
  }
}

const nav: readonly NavItem[] = [
  { href: '/operator/start', label: 'Start' },
  { href: '/operator/tenants', label: 'Tenants' },
  { href: '/operator/requests', label: 'Requests' },
  { href: '/operator/growth', label: 'Growth and cost' },
  { href: '/operator/spend', label: 'Spend' },
  { href: '/operator/reservations', label: 'Reservations' },
  { href: '/operator/policy', label: 'Policy' },
  { href: '/operator/pipeline', label: 'Pipeline' },
  { href: '/operator/dead-letters', label: 'Dead letters' },
  { href: '/operator/audit', label: 'Audit' },
  { href: '/operator/sessions', label: 'Sessions' },
];

/** A request for a page of an operator. */
export interface OperatorVisit {
  /** Name of the operator. */
  readonly name: string;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly parts: Parts;
}

type ContentMaker = (visit: OperatorVisit) => PageContent | null | Promise<PageContent | null>;

/**
 * Handler of a page for a signed-in operator, and of the parts of the page. `makeContent` returns null if it has already
 * sent another response.
 */
export function forOperator(here: string, makeContent: ContentMaker) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const parts = createParts(request);
    const content = await makeContent({ name: guardedOperator(request), request, reply, parts });
    if (content === null) return reply;
    if (parts.wanted !== null) return sendPart(reply, parts.wanted);
    return sendOperatorPage(reply, here, { notice: noticeOf(request), ...content });
  };
}

/**
 * Route of a form's action, for operators with this role or a higher one. The handler redirects to the page of the form,
 * which shows a notice.
 */
export function actionForOperator(
  role: Role,
  act: (name: string, request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>,
) {
  return {
    config: { access: `operator-session:${role}` },
    handler: (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
      act(guardedOperator(request), request, reply),
  } as const;
}

/** Sends a page of the operator console to the signed-in operator of the request. */
export function sendOperatorPage(reply: FastifyReply, here: string, content: PageContent): FastifyReply {
  const { name, role } = operatorOf(reply.request);
  return sendPage(reply, { ...content, area: 'operator', nav, here, who: `${name} (${role})` });
}

/**
 * Guard of the operator console. Without a session, the browser is redirected to the sign-in. An operator whose role is
 * too low gets a page that names the needed role.
 */
export async function requireOperator(
  { sessions }: { readonly sessions: Pick<Sessions, 'readOperator'> },
  needed: Role,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> {
  const reading = await sessions.readOperator(sessionToken(request, 'tollgate_operator'));
  if (reading.kind === 'unknown') throw sessionsUnread();
  if (reading.kind !== 'valid') return redirectBrowser(request, reply, '/operator?reason=signed-out');
  const { name, role, id } = reading.value;
  request.operatorSessionId = id;
  request.operator = { name, role };
  if (hasRole(role, needed)) return undefined;
  const text = `This needs the role “${needed}”. You are signed in with the role “${role}”, so nothing was done.`;
  const state = emptyState('Your role does not allow this', text);
  if (isFragmentRequest(request)) return sendPart(reply, state, 403);
  return sendOperatorPage(reply, '', {
    title: 'Not allowed',
    status: 403,
    body: html`<div class="card narrow">
      ${state}
      <p><a href="/operator/tenants">Go to the tenants</a></p>
    </div>`,
  });
}

/** The name of the operator, set by the guard. */
export function guardedOperator(request: FastifyRequest): string {
  return operatorOf(request).name;
}

function operatorOf({ operator }: FastifyRequest): Operator {
  if (operator === null) throw new Error('a route for operators was reached without its guard');
  return operator;
}

/** True if the signed-in operator may use what needs this role. Pages leave out forms that the operator may not send. */
export function mayUse({ operator }: FastifyRequest, needed: Role): boolean {
  return operator !== null && hasRole(operator.role, needed);
}

/**
 * Notices of actions. The redirect after an action has the key of a notice in its query; no other text can be shown.
 */
const notices = new Map<unknown, string>(
  Object.entries({
    saved: 'Saved. Gateways follow within seconds.',
    boosted: 'Limit raised. Gateways follow within seconds.',
    'boost-ended': 'Boost ended.',
    'request-approved': 'Request approved. Gateways follow within seconds.',
    'request-declined': 'Request declined. The tenant reads the answer.',
    blocked: 'Tenant blocked.',
    unblocked: 'Block lifted.',
    noted: 'Note saved.',
    undone: 'Undone. Gateways follow within seconds.',
    reset: 'Counters reset.',
    'reset-all': 'The counters of all tenants were reset.',
    deleted: 'Record deleted. Gateways follow within seconds.',
    'key-deleted': 'API key deleted. The portal sessions that it opened have ended.',
    tested: 'A test message is on its way; its delivery shows under “Notifications” within seconds.',
    'sessions-ended': 'All portal links and sessions of this tenant have ended.',
    'policy-live': 'The policy is live. Gateways follow within seconds.',
    'session-ended': 'Ended. The next request of an ended session is refused.',
    replayed: 'Sent again. If it still cannot be read, it comes back as a new dead letter.',
  }),
);

const failures = new Map<unknown, string>(
  Object.entries({
    'session-gone': 'This session had already ended, or is not yours.',
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

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AuditLog } from '../../../../shared/kafka/audit-log.ts';
import type { Operators } from '../../../../shared/sessions/operators.ts';
import type { Sessions } from '../../../../shared/sessions/sessions.ts';
import { html } from '../../components/html.ts';
import { sendPage } from '../../components/layout.ts';
import { setSession } from '../../sessions/cookies.ts';
import { clientOf, factsOf } from '../../sessions/sign-in-facts.ts';
import type { SignInCounter, SignInThrottle } from '../../sessions/sign-in-throttle.ts';
import type { PendingSignIn, SingleSignOn } from './single-sign-on.ts';

export interface SingleSignOnRoutes {
  /** Null: no OpenID provider is configured. */
  readonly singleSignOn: SingleSignOn | null;
  readonly sessions: Pick<Sessions, 'openOperator'>;
  readonly operators: Pick<Operators, 'actorNamed'>;
  readonly audit: Pick<AuditLog, 'note'>;
  readonly signIns: SignInCounter;
  readonly publicUrl: () => string;
}

const cookieName = 'tollgate_oidc';
const cookiePath = '/operator/oidc';
const pendingSeconds = 600;

/**
 * Sign-in of operators by an OpenID provider. The start and the end are links, not forms: the content security policy
 * allows no form that leads to another site, and a redirect after a form counts as its target.
 */
export function registerSingleSignOn(
  app: FastifyInstance,
  options: SingleSignOnRoutes,
  throttle: SignInThrottle,
): void {
  const { singleSignOn, publicUrl } = options;
  const config = { access: 'public' } as const;

  app.get('/operator/oidc/start', { config }, async (_request, reply) => {
    if (singleSignOn === null) return sendRefusal(reply, 404, notConfigured);
    const started = await singleSignOn.begin();
    if (started === null)
      return sendRefusal(reply, 503, 'The identity provider does not answer. Try again in a moment.');
    // `Lax`, because the provider's redirect to the callback comes from another site.
    void reply.setCookie(cookieName, Buffer.from(JSON.stringify(started.pending)).toString('base64url'), {
      path: cookiePath,
      httpOnly: true,
      sameSite: 'lax',
      secure: publicUrl().startsWith('https:'),
      maxAge: pendingSeconds,
    });
    return reply.header('cache-control', 'no-store').redirect(started.address, 303);
  });

  app.get('/operator/oidc/callback', { config }, async (request, reply) => {
    if (singleSignOn === null) return sendRefusal(reply, 404, notConfigured);
    const pending = pendingOf(request.cookies[cookieName]);
    // A pending sign-in is used once, whatever its result is.
    void reply.clearCookie(cookieName, { path: cookiePath });
    const query = request.url.split('?').slice(1).join('?');
    return finish(options, request, reply, await singleSignOn.finish(query, pending), throttle);
  });

  app.get('/operator/oidc/end', { config }, async (_request, reply) => {
    const address = await singleSignOn?.endAddress();
    return reply.header('cache-control', 'no-store').redirect(address ?? '/operator', 303);
  });
}

async function finish(
  { sessions, operators, audit, signIns, publicUrl }: SingleSignOnRoutes,
  request: FastifyRequest,
  reply: FastifyReply,
  result: Awaited<ReturnType<SingleSignOn['finish']>>,
  throttle: SignInThrottle,
): Promise<FastifyReply> {
  const client = [throttle.addressOf(request), request.headers['user-agent']] as const;
  if (!result.ok) {
    const waitSeconds = throttle.failed(request);
    signIns.inc({ method: 'oidc', result: waitSeconds === null ? 'refused' : 'throttled' });
    if (waitSeconds !== null)
      return sendRefusal(reply.header('retry-after', waitSeconds), 429, result.reason);
    const detail = `Single sign-on refused: ${result.reason}`;
    audit.note({ actor: 'unknown', action: 'sign-in-refused', detail, facts: factsOf(...client) });
    return sendRefusal(reply, result.status, result.reason);
  }
  signIns.inc({ method: 'oidc', result: 'accepted' });
  const { role } = result.operator;
  const name = operators.actorNamed(result.operator.name, 'single sign-on');
  const session = await sessions.openOperator(name, { via: 'oidc', role }, clientOf(...client));
  const detail = `Operator signed in with the role ${role}`;
  audit.note({ actor: name, action: 'sign-in', detail, facts: factsOf(...client, session.value) });
  setSession(reply, 'tollgate_operator', session, publicUrl());
  return sendContinuation(reply);
}

const notConfigured = 'No identity provider is configured for this console.';

function pendingOf(cookie: string | undefined): PendingSignIn | null {
  try {
    const pending: unknown = JSON.parse(Buffer.from(cookie ?? '', 'base64url').toString());
    if (typeof pending !== 'object' || pending === null) return null;
    const { state, nonce, codeVerifier } = pending as Partial<Record<keyof PendingSignIn, unknown>>;
    return typeof state === 'string' && typeof nonce === 'string' && typeof codeVerifier === 'string'
      ? { state, nonce, codeVerifier }
      : null;
  } catch {
    return null;
  }
}

/**
 * A page that leads to the console by itself. A redirect would not do: the browser came from the provider's site, so it
 * would not send the session cookie, which is `Strict`, along a chain of redirects.
 */
function sendContinuation(reply: FastifyReply): FastifyReply {
  const body = html`<section class="card narrow stack">
    <h1>You are signed in</h1>
    <p><a href="/operator/start">Continue to the console</a></p>
  </section>`;
  return sendPage(reply.header('refresh', '0; url=/operator/start'), frame('Signed in', body, 200));
}

function sendRefusal(reply: FastifyReply, status: number, reason: string): FastifyReply {
  const body = html`<section class="card narrow stack">
    <h1>Not signed in</h1>
    <p role="alert">${reason}</p>
    <p><a href="/operator">Back to the sign-in</a></p>
  </section>`;
  return sendPage(reply, frame('Not signed in', body, status));
}

function frame(title: string, body: ReturnType<typeof html>, status: number) {
  return { title, body, status, area: 'operator', nav: [], here: '', who: null } as const;
}

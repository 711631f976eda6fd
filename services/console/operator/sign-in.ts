import type { FastifyInstance, FastifyReply } from 'fastify';
import { isOperatorName } from '../../../shared/domain/operators/operator.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { AuditLog } from '../../../shared/kafka/audit-log.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { operatorOf } from '../../../shared/sessions/operators.ts';
import type { Operators } from '../../../shared/sessions/operators.ts';
import type { Sessions } from '../../../shared/sessions/sessions.ts';
import { formOf } from '../components/form-body.ts';
import { field } from '../components/form.ts';
import type { RefusedForm } from '../components/form.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { sendPage } from '../components/layout.ts';
import type { Notice } from '../components/layout.ts';
import { clientOf, factsOf } from '../sessions/sign-in-facts.ts';
import { clearSession, sessionToken, setSession } from '../sessions/cookies.ts';
import { registerSingleSignOn } from './oidc/routes.ts';
import type { SingleSignOnRoutes } from './oidc/routes.ts';
import { createSignInThrottle, tooManyFailures } from '../sessions/sign-in-throttle.ts';
import type { SignInCounter } from '../sessions/sign-in-throttle.ts';

export interface OperatorSignInOptions extends SingleSignOnRoutes {
  readonly sessions: Sessions;
  readonly operators: Operators;
  /** False: operators sign in by the OpenID provider only. */
  readonly tokenSignIn: boolean;
  readonly policy: () => Policy;
  readonly clock: Clock;
  readonly audit: Pick<AuditLog, 'note'>;
  readonly signIns: SignInCounter;
  readonly publicUrl: () => string;
}

/**
 * Sign-in of operators, with their own token or with the shared admin token. A holder of the shared token also enters a
 * name, which the history shows as the actor of changes.
 */
export function registerOperatorSignIn(app: FastifyInstance, options: OperatorSignInOptions): void {
  const { sessions, operators, policy, clock, audit, signIns, publicUrl } = options;
  const throttle = createSignInThrottle(policy, clock);
  const ways = { token: options.tokenSignIn, provider: options.singleSignOn !== null };
  registerSingleSignOn(app, options, throttle);
  const config = { access: 'public' } as const;

  app.get<{ Querystring: { reason?: string } }>('/operator', { config }, async (request, reply) => {
    const reading = await sessions.readOperator(sessionToken(request, 'tollgate_operator'));
    if (reading.kind === 'valid') return reply.redirect('/operator/start', 303);
    return sendSignIn(ways, reply, 200, noticeFor(request.query.reason));
  });

  app.post('/operator/sign-in', { config }, async (request, reply) => {
    if (!ways.token) {
      const text = 'Sign in by your identity provider: tokens do not open the console here.';
      return sendSignIn(ways, reply, 403, { tone: 'bad', text });
    }
    const form = formOf(request);
    const stated = (form.get('name') ?? '').trim();
    const holder = operators.byToken((form.get('token') ?? '').trim());
    if (holder === null) {
      const waitSeconds = throttle.failed(request);
      const result = waitSeconds === null ? 'refused' : 'throttled';
      signIns.inc({ method: 'operator', result });
      if (waitSeconds !== null)
        return sendSignIn(ways, reply.header('retry-after', waitSeconds), 429, tooManyFailures);
      const facts = {
        ...factsOf(throttle.addressOf(request), request.headers['user-agent']),
        ...(isOperatorName(stated) ? { stated_name: stated } : {}),
      };
      const detail = 'Sign-in of an operator refused: unknown token';
      audit.note({ actor: 'unknown', action: 'sign-in-refused', detail, facts });
      return sendSignIn(ways, reply, 401, null, {
        values: form,
        field: 'token',
        detail: 'This is not the token of an operator.',
      });
    }
    if (holder.name === null && !isOperatorName(stated)) {
      const detail = 'Enter your name: the admin token is shared, and the history says who did what.';
      return sendSignIn(ways, reply, 422, null, { values: form, field: 'name', detail });
    }
    const { name, role } = operatorOf(operators, holder, stated);
    signIns.inc({ method: 'operator', result: 'accepted' });
    const client = [throttle.addressOf(request), request.headers['user-agent']] as const;
    const session = await sessions.openOperator(name, holder.source, clientOf(...client));
    const facts = factsOf(...client, session.value);
    audit.note({ actor: name, action: 'sign-in', detail: `Operator signed in with the role ${role}`, facts });
    setSession(reply, 'tollgate_operator', session, publicUrl());
    return reply.redirect('/operator/start', 303);
  });

  app.post('/operator/sign-out', { config }, async (request, reply) => {
    const session = await sessions.signOutOperator(sessionToken(request, 'tollgate_operator'));
    if (session !== null) {
      const facts = factsOf(throttle.addressOf(request), request.headers['user-agent'], session);
      audit.note({ actor: session.name, action: 'sign-out', detail: 'Operator signed out', facts });
    }
    clearSession(reply, 'tollgate_operator');
    return reply.redirect(ways.provider ? '/operator?reason=bye' : '/operator', 303);
  });
}

function noticeFor(reason: string | undefined): Notice | null {
  if (reason === 'signed-out') return { tone: 'bad', text: 'Please sign in to see that page.' };
  if (reason !== 'bye') return null;
  return {
    tone: 'good',
    text: 'You are signed out here, and may still be signed in at your identity provider.',
  };
}

interface SignInWays {
  readonly token: boolean;
  readonly provider: boolean;
}

function sendSignIn(
  ways: SignInWays,
  reply: FastifyReply,
  status: number,
  notice: Notice | null,
  refused: RefusedForm | null = null,
): FastifyReply {
  const body = html`<section class="card narrow stack">
    <div>
      <h1>Operator console</h1>
      <p class="soft">Tenants, limits, growth and the pipeline.</p>
    </div>
    ${
      ways.provider
        ? html`<p><a class="button" href="/operator/oidc/start">Sign in with your organisation</a></p>
            <p class="soft small"><a href="/operator/oidc/end">Sign out at the identity provider</a></p>`
        : null
    }
    ${ways.token ? tokenForm(ways, refused) : null}
  </section>`;
  return sendPage(reply, {
    title: 'Operator sign-in',
    area: 'operator',
    nav: [],
    here: '',
    who: null,
    body,
    notice,
    status,
  });
}

function tokenForm({ provider }: SignInWays, refused: RefusedForm | null): Html {
  return html`<form method="post" action="/operator/sign-in">
    ${field(
      {
        ...{ name: 'name', label: 'Your name', autocomplete: 'username', lengthMax: 100 },
        ...{ autofocus: !provider },
        hint: 'Required with the shared admin token, which does not identify you.',
      },
      refused,
    )}
    ${field(
      {
        ...{ kind: 'password', name: 'token', label: 'Your token, or the admin token', required: true },
        ...{ autocomplete: 'current-password', mono: true, autofocus: false },
      },
      refused,
    )}
    <div class="actions"><button type="submit">Sign in</button></div>
  </form>`;
}

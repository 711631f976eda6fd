import type { FastifyInstance, FastifyReply } from 'fastify';
import { isOperatorName } from '../../../shared/domain/operators/operator.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { operatorOf } from '../../../shared/sessions/operators.ts';
import type { Operators } from '../../../shared/sessions/operators.ts';
import type { Sessions } from '../../../shared/sessions/sessions.ts';
import { formOf } from '../components/form-body.ts';
import { html } from '../components/html.ts';
import { sendPage } from '../components/layout.ts';
import type { Notice } from '../components/layout.ts';
import { clearSession, sessionToken, setSession } from '../sessions/cookies.ts';
import { createSignInThrottle, tooManyFailures } from '../sessions/sign-in-throttle.ts';
import type { SignInCounter } from '../sessions/sign-in-throttle.ts';

export interface OperatorSignInOptions {
  readonly sessions: Sessions;
  readonly operators: Operators;
  readonly policy: () => Policy;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signIns: SignInCounter;
  readonly publicUrl: () => string;
}

/**
 * Sign-in of operators, with their own token or with the shared admin token. A holder of the shared token also enters a
 * name, which the history shows as the actor of changes.
 */
export function registerOperatorSignIn(app: FastifyInstance, options: OperatorSignInOptions): void {
  const { sessions, operators, policy, clock, logger, signIns, publicUrl } = options;
  const throttle = createSignInThrottle(policy, clock);
  const config = { access: 'public' } as const;

  app.get<{ Querystring: { reason?: string } }>('/operator', { config }, async (request, reply) => {
    const reading = await sessions.readOperator(sessionToken(request, 'tollgate_operator'));
    if (reading.kind === 'valid') return reply.redirect('/operator/tenants', 303);
    const out = request.query.reason === 'signed-out';
    return sendSignIn(reply, 200, out ? { tone: 'bad', text: 'Please sign in to see that page.' } : null);
  });

  app.post('/operator/sign-in', { config }, async (request, reply) => {
    const form = formOf(request);
    const stated = (form.get('name') ?? '').trim();
    const holder = operators.byToken((form.get('token') ?? '').trim());
    if (holder === null) {
      const waitSeconds = throttle.failed(request);
      const result = waitSeconds === null ? 'refused' : 'throttled';
      signIns.inc({ method: 'operator', result });
      if (waitSeconds !== null)
        return sendSignIn(reply.header('retry-after', waitSeconds), 429, tooManyFailures);
      return sendSignIn(reply, 401, { tone: 'bad', text: 'This is not the token of an operator.' });
    }
    if (holder.name === null && !isOperatorName(stated)) {
      const text = 'Enter your name: the admin token is shared, and the history says who did what.';
      return sendSignIn(reply, 422, { tone: 'bad', text });
    }
    const { name, role } = operatorOf(operators, holder, stated);
    signIns.inc({ method: 'operator', result: 'accepted' });
    logger.info({ audit: true, actor: name, role, action: 'operator-sign-in' }, 'operator signed in');
    setSession(reply, 'tollgate_operator', await sessions.openOperator(name, holder.source), publicUrl());
    return reply.redirect('/operator/tenants', 303);
  });

  app.post('/operator/sign-out', { config }, async (request, reply) => {
    await sessions.signOutOperator(sessionToken(request, 'tollgate_operator'));
    clearSession(reply, 'tollgate_operator');
    return reply.redirect('/operator', 303);
  });
}

function sendSignIn(reply: FastifyReply, status: number, notice: Notice | null): FastifyReply {
  const body = html`<section class="card narrow stack">
    <div>
      <h1>Operator console</h1>
      <p class="soft">Tenants, limits, growth and the pipeline.</p>
    </div>
    <form method="post" action="/operator/sign-in">
      <div class="field">
        <label for="name">Your name</label>
        <input id="name" name="name" autocomplete="username" maxlength="100" aria-describedby="name-hint" />
        <p class="hint" id="name-hint">Required with the shared admin token, which says not who you are.</p>
      </div>
      <div class="field">
        <label for="token">Your token, or the admin token</label>
        <input
          class="mono"
          id="token"
          name="token"
          type="password"
          autocomplete="current-password"
          required
        />
      </div>
      <div class="actions"><button type="submit">Sign in</button></div>
    </form>
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

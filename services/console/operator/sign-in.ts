import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { isSameSecret } from '../../../shared/sessions/secrets.ts';
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
  readonly adminToken: string;
  readonly policy: () => Policy;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signIns: SignInCounter;
  readonly publicUrl: () => string;
}

/**
 * Sign-in of operators. The operator enters the admin token and a name. The history shows the name as the actor of
 * changes.
 */
export function registerOperatorSignIn(app: FastifyInstance, options: OperatorSignInOptions): void {
  const { sessions, adminToken, policy, clock, logger, signIns, publicUrl } = options;
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
    const name = (form.get('name') ?? '').trim();
    if (!isSameSecret((form.get('token') ?? '').trim(), adminToken)) {
      const waitSeconds = throttle.failed(request);
      const result = waitSeconds === null ? 'refused' : 'throttled';
      signIns.inc({ method: 'operator', result });
      if (waitSeconds !== null)
        return sendSignIn(reply.header('retry-after', waitSeconds), 429, tooManyFailures);
      return sendSignIn(reply, 401, { tone: 'bad', text: 'This is not the admin token.' });
    }
    if (!/^[\x20-\x7e]{1,100}$/.test(name))
      return sendSignIn(reply, 422, { tone: 'bad', text: 'Give your name: the history says who did what.' });
    signIns.inc({ method: 'operator', result: 'accepted' });
    logger.info({ audit: true, actor: name, action: 'operator-sign-in' }, 'operator signed in');
    setSession(reply, 'tollgate_operator', await sessions.openOperator(name), publicUrl());
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
        <input
          id="name"
          name="name"
          autocomplete="username"
          required
          maxlength="100"
          aria-describedby="name-hint"
        />
        <p class="hint" id="name-hint">Every change is kept with the name of who made it.</p>
      </div>
      <div class="field">
        <label for="token">Admin token</label>
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

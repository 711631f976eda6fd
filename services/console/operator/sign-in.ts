import type { FastifyInstance, FastifyReply } from 'fastify';
import { sameSecret } from '../admin/authenticate.ts';
import type { ConsoleParts } from '../console.ts';
import { html } from '../pages/html.ts';
import { page } from '../pages/layout.ts';
import type { Notice } from '../pages/layout.ts';
import { formOf } from '../portal/sign-in.ts';
import { clearSession, sessionOf, setSession } from '../sessions/cookies.ts';
import { createSignInThrottle, tooManyFailures } from '../sessions/sign-in-throttle.ts';

/** The admin token opens the operator console; the name beside it is who the history will say did it. */
export function registerOperatorSignIn(app: FastifyInstance, parts: ConsoleParts): void {
  const throttle = createSignInThrottle(parts.policy, parts.clock);
  const config = { access: 'public' } as const;

  app.get<{ Querystring: { reason?: string } }>('/operator', { config }, async (request, reply) => {
    const reading = await parts.sessions.readOperator(sessionOf(request, 'tollgate_operator'));
    if (reading.kind === 'valid') return reply.redirect('/operator/tenants', 303);
    const out = request.query.reason === 'signed-out';
    return sendPage(reply, 200, out ? { tone: 'bad', text: 'Please sign in to see that page.' } : null);
  });

  app.post('/operator/sign-in', { config }, async (request, reply) => {
    const form = formOf(request);
    const name = (form.get('name') ?? '').trim();
    if (!sameSecret((form.get('token') ?? '').trim(), parts.adminToken)) {
      const waitSeconds = throttle.failed(request);
      const result = waitSeconds === null ? 'refused' : 'throttled';
      parts.metrics.signIns.inc({ method: 'operator', result });
      if (waitSeconds !== null)
        return sendPage(reply.header('retry-after', waitSeconds), 429, tooManyFailures);
      return sendPage(reply, 401, { tone: 'bad', text: 'This is not the admin token.' });
    }
    if (!/^[\x20-\x7e]{1,100}$/.test(name))
      return sendPage(reply, 422, { tone: 'bad', text: 'Give your name: the history says who did what.' });
    parts.metrics.signIns.inc({ method: 'operator', result: 'accepted' });
    parts.logger.info({ audit: true, actor: name, action: 'operator-sign-in' }, 'operator signed in');
    setSession(reply, 'tollgate_operator', await parts.sessions.openOperator(name), parts);
    return reply.redirect('/operator/tenants', 303);
  });

  app.post('/operator/sign-out', { config }, async (request, reply) => {
    await parts.sessions.signOutOperator(sessionOf(request, 'tollgate_operator'));
    clearSession(reply, 'tollgate_operator');
    return reply.redirect('/operator', 303);
  });
}

function sendPage(reply: FastifyReply, status: number, notice: Notice | null): FastifyReply {
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
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .type('text/html')
    .send(page({ title: 'Operator sign-in', area: 'operator', nav: [], here: '', who: null, body, notice }));
}

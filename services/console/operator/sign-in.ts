import type { FastifyInstance, FastifyReply } from 'fastify';
import { sameSecret } from '../admin/authenticate.ts';
import type { ConsoleParts } from '../console.ts';
import { html } from '../pages/html.ts';
import { page } from '../pages/layout.ts';
import type { Notice } from '../pages/layout.ts';
import { formOf } from '../portal/sign-in.ts';
import { createAttempts } from '../sessions/attempts.ts';
import { clearSession, sessionOf, setSession } from '../sessions/cookies.ts';

const sessionTtlMs = 8 * 3_600_000;

/** The admin token opens the operator console; the name beside it is who the history will say did it. */
export function registerOperatorSignIn(app: FastifyInstance, parts: ConsoleParts): void {
  const attempts = createAttempts(parts.clock);
  const config = { access: 'public' } as const;

  app.get<{ Querystring: { reason?: string } }>('/operator', { config }, async (request, reply) => {
    const reading = await parts.tokens.readOperator(sessionOf(request, 'tollgate_operator'));
    if (reading.kind === 'valid') return reply.redirect('/operator/tenants', 303);
    const out = request.query.reason === 'signed-out';
    return sendPage(reply, 200, out ? { tone: 'bad', text: 'Please sign in to see that page.' } : null);
  });

  app.post('/operator/sign-in', { config }, async (request, reply) => {
    if (!attempts.mayTry(request.ip)) {
      parts.metrics.signIns.inc({ door: 'operator', result: 'throttled' });
      return sendPage(reply, 429, {
        tone: 'bad',
        text: 'Too many failed attempts. Try again in ten minutes.',
      });
    }
    const form = formOf(request);
    const name = (form.get('name') ?? '').trim();
    if (!sameSecret((form.get('token') ?? '').trim(), parts.adminToken)) {
      attempts.failed(request.ip);
      parts.metrics.signIns.inc({ door: 'operator', result: 'refused' });
      return sendPage(reply, 401, { tone: 'bad', text: 'This is not the admin token.' });
    }
    if (!/^[\x20-\x7e]{1,100}$/.test(name))
      return sendPage(reply, 422, { tone: 'bad', text: 'Give your name: the history says who did what.' });
    parts.metrics.signIns.inc({ door: 'operator', result: 'accepted' });
    parts.logger.info({ audit: true, actor: name, action: 'operator-sign-in' }, 'operator signed in');
    const token = await parts.tokens.signOperator(name, sessionTtlMs);
    setSession(reply, 'tollgate_operator', token, sessionTtlMs, parts.publicUrl());
    return reply.redirect('/operator/tenants', 303);
  });

  app.post('/operator/sign-out', { config }, (_request, reply) => {
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

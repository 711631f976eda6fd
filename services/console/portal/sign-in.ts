import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { problemOfTenantId } from '../../../shared/domain/identity.ts';
import type { ConsoleParts } from '../console.ts';
import { html } from '../pages/html.ts';
import { page } from '../pages/layout.ts';
import type { Notice } from '../pages/layout.ts';
import { clearSession, sessionOf, setSession } from '../sessions/cookies.ts';
import type { SessionSource } from '../sessions/signed.ts';
import { sessionsUnread } from '../sessions/signed-out.ts';
import { createSignInThrottle, tooManyFailures } from '../sessions/sign-in-throttle.ts';
import { readCredential } from '../sessions/tenant-credential.ts';
import { hasSession } from './visitor.ts';

const notWhole = 'This link is not complete or was changed. Copy the whole address, or ask for a new link.';
const refusals = {
  expired: 'This link has expired. Ask whoever sent it for a new one, or sign in with your API key.',
  ended: 'This link was ended. Ask whoever sent it for a new one, or sign in with your API key.',
  invalid: notWhole,
  valid: notWhole,
} as const;

/** Two ways in: a signed link, or the tenant's own API key or JWT. The session ends with the one it came from. */
export function registerSignIn(app: FastifyInstance, parts: ConsoleParts): void {
  const throttle = createSignInThrottle(parts.policy, parts.clock);
  const config = { access: 'public' } as const;

  app.get<{ Querystring: { reason?: string } }>('/', { config }, async (request, reply) => {
    if (await hasSession(parts, request)) return reply.redirect('/usage', 303);
    return sendPage(reply, 200, noticeFor(request.query.reason));
  });

  app.get<{ Querystring: { token?: string } }>('/sign-in', { config }, async (request, reply) => {
    const reading = await parts.sessions.readLink(request.query.token ?? '');
    if (reading.kind === 'unknown') throw sessionsUnread();
    if (reading.kind !== 'valid' || problemOfTenantId(reading.value.tenantId) !== null) {
      parts.metrics.signIns.inc({ method: 'link', result: 'refused' });
      return sendPage(reply, 401, { tone: 'bad', text: refusals[reading.kind] });
    }
    const { id, tenantId, expiresAtMs, sessionTtlMs } = reading.value;
    const endsAtMs = Math.min(expiresAtMs, parts.clock.now() + sessionTtlMs);
    await signIn(reply, parts, tenantId, { via: 'link', linkId: id }, endsAtMs);
    return reply.redirect('/usage', 303);
  });

  app.post('/sign-in', { config }, async (request, reply) => {
    const credential = await readCredential(
      formOf(request).get('credential') ?? '',
      parts.credentials.under(parts.policy()),
      throttle.addressOf(request),
    );
    if (credential.kind === 'refused') {
      const waitSeconds = credential.status === 401 ? throttle.failed(request) : null;
      const result = waitSeconds === null ? 'refused' : 'throttled';
      parts.metrics.signIns.inc({ method: 'credential', result });
      if (waitSeconds !== null)
        return sendPage(reply.header('retry-after', waitSeconds), 429, tooManyFailures);
      return sendPage(reply, credential.status, { tone: 'bad', text: credential.reason });
    }
    await signIn(reply, parts, credential.tenantId, credential.source, credential.expiresAtMs);
    return reply.redirect('/usage', 303);
  });

  app.post('/sign-out', { config }, async (request, reply) => {
    await parts.sessions.signOutTenant(sessionOf(request, 'tollgate_portal'));
    clearSession(reply, 'tollgate_portal');
    return reply.redirect('/?reason=bye', 303);
  });
}

async function signIn(
  reply: FastifyReply,
  parts: ConsoleParts,
  tenantId: string,
  source: SessionSource,
  endsAtMs: number,
): Promise<void> {
  parts.metrics.signIns.inc({ method: source.via, result: 'accepted' });
  const session = await parts.sessions.openTenant(tenantId, source, endsAtMs);
  setSession(reply, 'tollgate_portal', session, parts);
}

/** The fields of a posted form; empty when there was no form. */
export function formOf(request: FastifyRequest): URLSearchParams {
  return request.body instanceof URLSearchParams ? request.body : new URLSearchParams();
}

function noticeFor(reason: string | undefined): Notice | null {
  if (reason === 'bye') return { tone: 'good', text: 'You are signed out.' };
  if (reason === 'signed-out') return { tone: 'bad', text: 'Please sign in to see that page.' };
  return null;
}

function sendPage(reply: FastifyReply, status: number, notice: Notice | null): FastifyReply {
  const body = html`<section class="card narrow">
    <h1>See your API usage</h1>
    <p class="soft">Usage against your limits, history, and why a call was refused.</p>
    <form method="post" action="/sign-in" class="sign-in">
      <div class="field">
        <label for="credential">API key or access token</label>
        <input
          class="mono"
          id="credential"
          name="credential"
          type="password"
          autocomplete="current-password"
          required
          aria-describedby="credential-hint"
          placeholder="tgk_…"
        />
        <p class="hint" id="credential-hint">
          The key or JWT that your application sends. It is checked once and not kept; you stay signed in for
          up to eight hours.
        </p>
      </div>
      <div class="actions"><button type="submit">Sign in</button></div>
    </form>
    <p class="soft small">Got a portal link? Just open it: it signs you in by itself.</p>
  </section>`;
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .type('text/html')
    .send(page({ title: 'Sign in', area: 'portal', nav: [], here: '', who: null, body, notice }));
}

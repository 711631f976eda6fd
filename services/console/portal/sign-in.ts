import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { problemOfTenantId } from '../../../shared/domain/identity.ts';
import type { ConsoleParts } from '../console.ts';
import { html } from '../pages/html.ts';
import { page } from '../pages/layout.ts';
import type { Notice } from '../pages/layout.ts';
import { createAttempts } from '../sessions/attempts.ts';
import { clearSession, setSession } from '../sessions/cookies.ts';
import { readCredential } from '../sessions/tenant-credential.ts';
import { visitorOf } from './visitor.ts';

const sessionTtlMs = 8 * 3_600_000;

/** Two doors: a signed link, or the tenant's own API key or JWT. Either leaves a session of at most eight hours. */
export function registerSignIn(app: FastifyInstance, parts: ConsoleParts): void {
  const attempts = createAttempts(parts.clock);
  const config = { access: 'public' } as const;

  app.get<{ Querystring: { reason?: string } }>('/', { config }, async (request, reply) => {
    if ((await visitorOf(parts, request)) !== null) return reply.redirect('/usage', 303);
    return sendPage(reply, 200, noticeFor(request.query.reason));
  });

  app.get<{ Querystring: { token?: string } }>('/sign-in', { config }, async (request, reply) => {
    const reading = await parts.tokens.readLink(request.query.token ?? '');
    if (reading.kind !== 'valid' || problemOfTenantId(reading.subject) !== null) {
      parts.metrics.signIns.inc({ door: 'link', result: 'refused' });
      return sendPage(reply, 401, {
        tone: 'bad',
        text:
          reading.kind === 'expired'
            ? 'This link has expired. Ask whoever sent it for a new one, or sign in with your API key.'
            : 'This link is not complete or was changed. Copy the whole address, or ask for a new link.',
      });
    }
    await signIn(reply, parts, reading.subject, 'link', sessionTtlMs);
    return reply.redirect('/usage', 303);
  });

  app.post('/sign-in', { config }, async (request, reply) => {
    if (!attempts.mayTry(request.ip)) {
      parts.metrics.signIns.inc({ door: 'credential', result: 'throttled' });
      return sendPage(reply, 429, {
        tone: 'bad',
        text: 'Too many failed attempts. Try again in ten minutes.',
      });
    }
    const credential = await readCredential(
      formOf(request).get('credential') ?? '',
      parts.credentials.under(parts.policy()),
      request.ip,
    );
    if (credential.kind === 'refused') {
      if (credential.status === 401) attempts.failed(request.ip);
      parts.metrics.signIns.inc({ door: 'credential', result: 'refused' });
      return sendPage(reply, credential.status, { tone: 'bad', text: credential.reason });
    }
    const ttlMs = Math.min(sessionTtlMs, credential.expiresAtMs - parts.clock.now());
    await signIn(reply, parts, credential.tenantId, credential.via, ttlMs);
    return reply.redirect('/usage', 303);
  });

  app.post('/sign-out', { config }, (_request, reply) => {
    clearSession(reply, 'tollgate_portal');
    return reply.redirect('/?reason=bye', 303);
  });
}

async function signIn(
  reply: FastifyReply,
  parts: ConsoleParts,
  tenantId: string,
  via: string,
  ttlMs: number,
): Promise<void> {
  parts.metrics.signIns.inc({ door: via, result: 'accepted' });
  const token = await parts.tokens.signTenant(tenantId, via, ttlMs);
  setSession(reply, 'tollgate_portal', token, ttlMs, parts.publicUrl());
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

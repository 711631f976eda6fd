import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { problemOfTenantId } from '../../../shared/domain/identity.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { tenantItself } from '../../../shared/domain/topics/audit-entry.ts';
import type { AuditLog } from '../../../shared/kafka/audit-log.ts';
import type { Credentials } from '../../../shared/identity/credentials.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { SessionSource } from '../../../shared/sessions/claims.ts';
import type { Sessions } from '../../../shared/sessions/sessions.ts';
import { formOf } from '../components/form-body.ts';
import { field } from '../components/form.ts';
import type { RefusedForm } from '../components/form.ts';
import { html } from '../components/html.ts';
import { sendPage } from '../components/layout.ts';
import type { Notice } from '../components/layout.ts';
import { clearSession, sessionToken, sessionsUnread, setSession } from '../sessions/cookies.ts';
import { createSignInThrottle, tooManyFailures } from '../sessions/sign-in-throttle.ts';
import type { SignInCounter, SignInThrottle } from '../sessions/sign-in-throttle.ts';
import { clientOf, factsOf, viaText } from '../sessions/sign-in-facts.ts';
import { readCredential } from '../sessions/tenant-credential.ts';

export interface SignInOptions {
  readonly sessions: Sessions;
  readonly credentials: Credentials;
  readonly policy: () => Policy;
  readonly clock: Clock;
  readonly signIns: SignInCounter;
  readonly publicUrl: () => string;
  readonly audit: Pick<AuditLog, 'note'>;
}

const incompleteLink =
  'This link is not complete or was changed. Copy the whole address, or request a new link.';
const linkNotices = {
  expired: 'This link has expired. Request a new one from its sender, or sign in with your API key.',
  ended: 'This link was ended. Request a new one from its sender, or sign in with your API key.',
  invalid: incompleteLink,
  // The signature of the link is valid, but its tenant id is not.
  valid: incompleteLink,
} as const;

/**
 * Sign-in of tenants, with a signed link, an API key or a JWT. The session ends when the link, the key or the JWT is
 * no longer valid.
 */
export function registerSignIn(app: FastifyInstance, options: SignInOptions): void {
  const config = { access: 'public' } as const;

  app.get<{ Querystring: { reason?: string } }>('/', { config }, async (request, reply) => {
    const reading = await options.sessions.readTenant(sessionToken(request, 'tollgate_portal'));
    if (reading.kind === 'valid') return reply.redirect('/usage', 303);
    return sendSignIn(reply, 200, noticeFor(request.query.reason));
  });

  const throttle = createSignInThrottle(options.policy, options.clock);
  registerLinkSignIn(app, options, throttle);
  registerCredentialSignIn(app, options, throttle);

  app.post('/sign-out', { config }, async (request, reply) => {
    const session = await options.sessions.signOutTenant(sessionToken(request, 'tollgate_portal'));
    if (session !== null) {
      const facts = factsOf(throttle.addressOf(request), request.headers['user-agent'], session);
      const entry = { ...tenantItself, tenant_id: session.tenantId, action: 'sign-out', facts };
      options.audit.note({ ...entry, detail: 'Signed out of the portal' });
    }
    clearSession(reply, 'tollgate_portal');
    return reply.redirect('/?reason=bye', 303);
  });
}

function registerLinkSignIn(app: FastifyInstance, options: SignInOptions, throttle: SignInThrottle): void {
  const { sessions, signIns, clock } = options;
  const config = { access: 'public' } as const;
  app.get<{ Querystring: { token?: string } }>('/sign-in', { config }, async (request, reply) => {
    const { token = '' } = request.query;
    // A visit without a token guesses nothing: it does not count as a failure of its address.
    if (token === '') return sendSignIn(reply, 401, { tone: 'bad', text: incompleteLink });
    const reading = await sessions.readLink(token);
    if (reading.kind === 'unknown') throw sessionsUnread();
    if (reading.kind !== 'valid' || problemOfTenantId(reading.value.tenantId) !== null) {
      const waitSeconds = throttle.failed(request);
      signIns.inc({ method: 'link', result: waitSeconds === null ? 'refused' : 'throttled' });
      if (waitSeconds !== null)
        return sendSignIn(reply.header('retry-after', waitSeconds), 429, tooManyFailures);
      noteRefusal(options, request, throttle, `the link is ${reading.kind}`);
      return sendSignIn(reply, 401, { tone: 'bad', text: linkNotices[reading.kind] });
    }
    const { id, tenantId, startedAtMs, expiresAtMs, sessionTtlMs, managesKeys } = reading.value;
    const endsAtMs = Math.min(expiresAtMs, clock.now() + sessionTtlMs);
    const address = throttle.addressOf(request);
    const source: SessionSource = { via: 'link', linkId: id, linkStartedAtMs: startedAtMs, managesKeys };
    await openSession({ request, reply, address }, options, tenantId, source, endsAtMs);
    return reply.redirect('/usage', 303);
  });
}

function registerCredentialSignIn(
  app: FastifyInstance,
  options: SignInOptions,
  throttle: SignInThrottle,
): void {
  const { credentials, policy, signIns } = options;
  app.post('/sign-in', { config: { access: 'public' } }, async (request, reply) => {
    const address = throttle.addressOf(request);
    const form = formOf(request);
    const credential = await readCredential(
      form.get('credential') ?? '',
      credentials.under(policy()),
      address,
    );
    if (credential.kind === 'refused') {
      const waitSeconds = credential.status === 401 ? throttle.failed(request) : null;
      signIns.inc({ method: 'credential', result: waitSeconds === null ? 'refused' : 'throttled' });
      if (waitSeconds !== null)
        return sendSignIn(reply.header('retry-after', waitSeconds), 429, tooManyFailures);
      noteRefusal(options, request, throttle, credential.reason);
      const refused = { values: form, detail: credential.reason, field: 'credential' };
      return sendSignIn(reply, credential.status, null, refused);
    }
    const { tenantId, source, expiresAtMs } = credential;
    await openSession({ request, reply, address }, options, tenantId, source, expiresAtMs);
    return reply.redirect('/usage', 303);
  });
}

interface SignInVisit {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly address: string;
}

async function openSession(
  { request, reply, address }: SignInVisit,
  { sessions, signIns, publicUrl, audit }: SignInOptions,
  tenantId: string,
  source: SessionSource,
  endsAtMs: number,
): Promise<void> {
  signIns.inc({ method: source.via, result: 'accepted' });
  const client = clientOf(address, request.headers['user-agent']);
  const session = await sessions.openTenant(tenantId, source, endsAtMs, client);
  const facts = factsOf(address, request.headers['user-agent'], session.value);
  const detail = `Signed in to the portal with ${viaText(source)}`;
  audit.note({ ...tenantItself, tenant_id: tenantId, action: 'sign-in', detail, facts });
  setSession(reply, 'tollgate_portal', session, publicUrl());
}

function noteRefusal(
  { audit }: SignInOptions,
  request: FastifyRequest,
  throttle: SignInThrottle,
  why: string,
): void {
  const facts = factsOf(throttle.addressOf(request), request.headers['user-agent']);
  const entry = { actor: 'unknown', source: 'portal', action: 'sign-in-refused' } as const;
  audit.note({ ...entry, detail: `Sign-in to the portal refused: ${why}`, facts });
}

function noticeFor(reason: string | undefined): Notice | null {
  if (reason === 'bye') return { tone: 'good', text: 'You are signed out.' };
  if (reason === 'signed-out') return { tone: 'bad', text: 'Please sign in to see that page.' };
  return null;
}

function sendSignIn(
  reply: FastifyReply,
  status: number,
  notice: Notice | null,
  refused: RefusedForm | null = null,
): FastifyReply {
  const body = html`<section class="card narrow">
    <h1>See your API usage</h1>
    <p class="soft">Usage against your limits, history, and why a call was refused.</p>
    <form method="post" action="/sign-in" class="sign-in">
      ${field(
        {
          ...{ kind: 'password', name: 'credential', label: 'API key or access token', required: true },
          ...{ autocomplete: 'current-password', mono: true, placeholder: 'tgk_…', autofocus: true },
          hint: 'The key or JWT that your application sends. It is checked once and not kept; you stay signed in for up to eight hours.',
        },
        refused,
      )}
      <div class="actions"><button type="submit">Sign in</button></div>
    </form>
    <p class="soft small">Got a portal link? Just open it: it signs you in by itself.</p>
  </section>`;
  return sendPage(reply, {
    title: 'Sign in',
    area: 'portal',
    nav: [],
    here: '',
    who: null,
    body,
    notice,
    status,
  });
}

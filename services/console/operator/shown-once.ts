import type { FastifyInstance } from 'fastify';
import { problemOfTenantId } from '../../../shared/domain/identity.ts';
import type { ConsoleParts } from '../console.ts';
import { stamp } from '../pages/format.ts';
import { html } from '../pages/html.ts';
import type { Html } from '../pages/html.ts';
import { formOf } from '../portal/sign-in.ts';
import { addKey, newKey } from '../tenants/api-keys.ts';
import type { KeyRequest } from '../tenants/api-keys.ts';
import { actionForOperator, sendOperatorPage } from './signed-in.ts';
import { spanEnd } from './span-end.ts';

const base = '/operator/tenants/:id';
const here = '/operator/tenants';
const linkTtlMs = 24 * 3_600_000;
const linkSessionTtlMs = 3_600_000;

/** API keys and portal links: on the page that answers, and nowhere else after it. */
export function registerShownOnce(app: FastifyInstance, parts: ConsoleParts): void {
  app.post(
    `${base}/api-keys`,
    actionForOperator(async (name, request, reply) => {
      const id = idOf(request.params);
      const { key, sha256 } = newKey();
      const asked = keyFrom(formOf(request), parts.clock.now());
      const outcome = await parts.records.change(id, name, (record) =>
        addKey(record, sha256, asked, parts.clock.now()),
      );
      const body = outcome.ok
        ? once(id, 'New API key', key, 'Copy it now: only its hash is kept, so it cannot be shown again.')
        : once(id, outcome.title, '', outcome.detail);
      const status = outcome.ok ? 201 : outcome.status;
      return sendOperatorPage(reply, name, here, { title: 'API key', body, status }, null);
    }),
  );
  app.post(
    `${base}/portal-link`,
    actionForOperator(async (name, request, reply) => {
      const id = idOf(request.params);
      const wrongId = problemOfTenantId(id);
      if (wrongId !== null) {
        const body = once(id, 'Link not made', '', `The tenant id ${wrongId}.`);
        return sendOperatorPage(reply, name, here, { title: 'Portal link', body, status: 422 }, null);
      }
      const { token, value } = await parts.tokens.signLink(id, linkTtlMs, linkSessionTtlMs);
      parts.logger.info(
        { audit: true, actor: name, action: 'portal-link', tenant_id: id, link_id: value.id },
        'portal link made',
      );
      const until = stamp(value.expiresAtMs);
      const link = `${parts.publicUrl()}/sign-in?token=${token}`;
      const body = once(
        id,
        'Portal link',
        link,
        `It opens the portal of ${id} until ${until}, for an hour each time. Send it to that tenant only.`,
      );
      return sendOperatorPage(reply, name, here, { title: 'Portal link', body, status: 201 }, null);
    }),
  );
}

function keyFrom(form: URLSearchParams, nowMs: number): KeyRequest {
  const name = (form.get('name') ?? '').trim().slice(0, 200);
  const end = spanEnd(form, nowMs);
  return {
    ...(name === '' ? {} : { name }),
    ...(end === null ? {} : { expires_at: end }),
  };
}

function idOf(params: unknown): string {
  return (params as { id: string }).id;
}

function once(id: string, title: string, secret: string, text: string): Html {
  return html`<section class="card stack">
    <h1>${title}</h1>
    ${secret === '' ? null : html`<code class="secret">${secret}</code>`}
    <p>${text}</p>
    <p><a href="/operator/tenants/${encodeURIComponent(id)}">Back to the tenant</a></p>
  </section>`;
}

import type { FastifyInstance } from 'fastify';
import { problemOfTenantId } from '../../../../shared/domain/identity.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import type { Clock } from '../../../../shared/runtime/time/clock.ts';
import type { PortalLinks } from '../../../../shared/sessions/portal-links.ts';
import { addKey, newKey, rollKey } from '../../../../shared/tenants/api-keys.ts';
import type { TenantRecords } from '../../../../shared/tenants/records.ts';
import { formOf } from '../../components/form-body.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { keyFrom } from '../../keys/key-form.ts';
import { overlapMsFrom } from '../../keys/roll-form.ts';
import { refusedPage } from './actions.ts';
import { actionForOperator, mayUse, sendOperatorPage } from '../signed-in.ts';
import type { TenantPageSources } from './tenant-page.ts';

export interface ShownOnceOptions extends TenantPageSources {
  readonly records: TenantRecords;
  readonly portalLinks: PortalLinks;
  readonly clock: Clock;
}

const base = '/operator/tenants/:id';
const here = '/operator/tenants';
const linkTtl = { ttlMs: 24 * 3_600_000, sessionTtlMs: 3_600_000 };

/** Shows an API key or a portal link on the page that answers its creation. No later page can show it again. */
export function registerShownOnce(app: FastifyInstance, options: ShownOnceOptions): void {
  const { records, portalLinks, clock } = options;
  app.post(
    `${base}/api-keys`,
    actionForOperator('admin', async (name, request, reply) => {
      const { id } = request.params as { id: string };
      const { key, sha256 } = newKey();
      const keyRequest = keyFrom(formOf(request), null, clock.now());
      const outcome = await records.change(id, name, (record) =>
        addKey(record, sha256, keyRequest, clock.now()),
      );
      if (!outcome.ok) {
        const back = `${here}/${encodeURIComponent(id)}`;
        return sendOperatorPage(reply, here, await refusedPage(options, request, back, outcome));
      }
      const text = 'Copy it now: only its hash is kept, so it cannot be shown again.';
      const body = secretCard(id, 'New API key', key, text);
      return sendOperatorPage(reply, here, { title: 'API key', body, status: 201 });
    }),
  );
  app.post(
    `${base}/api-keys/:hash/roll`,
    actionForOperator('admin', async (name, request, reply) => {
      const { id, hash } = request.params as { id: string; hash: string };
      const { key, sha256 } = newKey();
      const overlapMs = overlapMsFrom(formOf(request));
      const outcome = await records.change(id, name, (record) =>
        rollKey(record, hash, { sha256, overlapMs }, clock.now()),
      );
      if (!outcome.ok) {
        const back = `${here}/${encodeURIComponent(id)}`;
        return sendOperatorPage(reply, here, await refusedPage(options, request, back, outcome));
      }
      const text = 'Copy it now: only its hash is kept. The old key works until its overlap ends.';
      const body = secretCard(id, 'The new key', key, text);
      return sendOperatorPage(reply, here, { title: 'API key', body, status: 201 });
    }),
  );
  app.post(
    `${base}/portal-link`,
    actionForOperator('support', async (name, request, reply) => {
      const { id } = request.params as { id: string };
      const wrongId = problemOfTenantId(id);
      if (wrongId !== null) {
        const body = secretCard(id, 'Link not made', '', `The tenant id ${wrongId}.`);
        return sendOperatorPage(reply, here, { title: 'Portal link', body, status: 422 });
      }
      const { url, expiresAtMs } = await portalLinks.issue(id, name, {
        ...linkTtl,
        managesKeys: mayUse(request, 'admin'),
      });
      const body = secretCard(
        id,
        'Portal link',
        url,
        `It opens the portal of ${id} until ${formatTime(expiresAtMs)}, for an hour each time. Send it to that tenant only.`,
      );
      return sendOperatorPage(reply, here, { title: 'Portal link', body, status: 201 });
    }),
  );
}

function secretCard(id: string, title: string, secret: string, text: string): Html {
  return html`<section class="card stack">
    <h1>${title}</h1>
    ${secret === '' ? null : html`<code class="secret">${secret}</code>`}
    <p>${text}</p>
    <p><a href="/operator/tenants/${encodeURIComponent(id)}">Back to the tenant</a></p>
  </section>`;
}

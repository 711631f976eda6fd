import type { FastifyInstance } from 'fastify';
import { apiKeyId, apiKeysOf } from '../../../../shared/domain/tenant.ts';
import type { ApiKey } from '../../../../shared/domain/tenant.ts';
import { readInstant } from '../../../../shared/domain/time/instant.ts';
import { addKey, grantorIn, newKey, violationOfGrant } from '../../../../shared/tenants/api-keys.ts';
import type { KeyRequest } from '../../../../shared/tenants/api-keys.ts';
import { rejection } from '../../../../shared/tenants/outcome.ts';
import { formOf } from '../../components/form-body.ts';
import type { RefusedForm } from '../../components/form.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import type { Notice, PageContent } from '../../components/layout.ts';
import { forTenant } from '../visitor.ts';
import type { Visit, Visitor } from '../visitor.ts';
import { createSection, keyFrom } from '../../keys/key-form.ts';
import { keyTable } from '../../keys/key-table.ts';
import { cappedEndText, keysHref, notAllowed, shownOnce, viewOnlyText } from './key-views.ts';
import type { KeySources } from './key-views.ts';

const here = keysHref;

/** The tenant's API keys: what each may do, when it was last used, and when it ends. */
export function registerKeys(app: FastifyInstance, sources: KeySources): void {
  app.get(
    here,
    forTenant(here, (visitor, visit) => keysPage(sources, visitor, visit)),
  );
  app.post(
    here,
    forTenant(here, (visitor, visit) => createKey(sources, visitor, visit)),
  );
}

async function createKey(sources: KeySources, visitor: Visitor, visit: Visit): Promise<PageContent> {
  const { records, clock } = sources;
  const { access, tenantId, zone } = visitor;
  if (access.keys !== 'manage') return notAllowed(visitor);
  const form = formOf(visit.request);
  const wanted = keyFrom(form, access.scope, clock.now());
  const { key, sha256 } = newKey();
  let note: string | null = null;
  const outcome = await records.change(tenantId, access.actor, (record) => {
    const grantor = grantorIn(record, access.keySha256, clock.now());
    if (!grantor.ok) return grantor;
    const { scope, endMs } = grantor.value;
    const exceeded = violationOfGrant(wanted.scope, scope);
    if (exceeded !== null) return rejection(422, 'Key not created', exceeded, 'scope');
    const isShortened = (endOfRequest(wanted) ?? -Infinity) > endMs;
    if (isShortened) note = cappedEndText(endMs, zone);
    const limited = isShortened ? { ...wanted, expires_at: new Date(endMs).toISOString() } : wanted;
    return addKey(record, sha256, limited, clock.now());
  });
  if (outcome.ok) return shownOnce('New API key', key, note);
  const { detail, field = null, status } = outcome;
  return keysPage(sources, visitor, visit, {
    status,
    refused: { values: form, detail, field: fieldOf(field) },
  });
}

/** Unix milliseconds; Infinity: the key would never end; null: the requested end is no time. */
function endOfRequest({ expires_at: end }: KeyRequest): number | null {
  return end === undefined ? Infinity : readInstant(end);
}

interface Answer {
  readonly status?: number;
  readonly refused?: RefusedForm;
}

async function keysPage(
  { records, reads, clock }: KeySources,
  visitor: Visitor,
  { request, parts }: Visit,
  { status = 200, refused }: Answer = {},
): Promise<PageContent> {
  const { access, tenantId, usage } = visitor;
  if (access.keys === 'off') return notAllowed(visitor);
  const keys = apiKeysOf(records.of(tenantId));
  const list = await parts.render('keys', 'Your API keys', async () => {
    const uses = await reads.orNull(usage.keyUses(tenantId));
    return ownKeyTable(keys, visitor, uses, clock.now());
  });
  const body = html`<div class="page-head">
      <div>
        <h1>API keys</h1>
        <p class="lead">
          Each application should have a key of its own, which may do no more than it needs.
          ${access.keys === 'view' ? viewOnlyText : null}
        </p>
      </div>
    </div>
    <section class="card">${list}</section>
    ${access.keys === 'manage' ? createSection(access.scope, refused ?? null) : null}`;
  return { title: 'API keys', body, status, notice: noticeOf((request.query as { done?: string }).done) };
}

function noticeOf(done: string | undefined): Notice | null {
  return done === 'revoked'
    ? {
        tone: 'good',
        text: 'Revoked. Gateways refuse the key within a second; its portal sessions have ended.',
      }
    : null;
}

function ownKeyTable(
  keys: readonly ApiKey[],
  { zone, access }: Visitor,
  uses: ReadonlyMap<string, string> | null,
  nowMs: number,
): Html {
  const name = ({ name: named, sha256 }: ApiKey): Html =>
    html`<a href="${here}/${apiKeyId(sha256)}">${named ?? 'Without a name'}</a>
      ${sha256 === access.keySha256 ? html`<span class="badge plain">this session</span>` : null}<br /><code
        >${apiKeyId(sha256)}</code
      >`;
  return keyTable(keys, { caption: 'Your API keys', zone, nowMs, uses, name });
}

/** Names of form fields by the fields of the request that they set. */
function fieldOf(field: string | null): string | null {
  return field === 'expires_at' ? 'for' : field;
}

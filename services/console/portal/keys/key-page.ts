import type { FastifyInstance, FastifyRequest } from 'fastify';
import { apiKeyId, keyEndMs, scopeText } from '../../../../shared/domain/tenant.ts';
import type { ApiKey } from '../../../../shared/domain/tenant.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { durationForReading } from '../../../../shared/domain/time/format-duration.ts';
import {
  findKey,
  grantorIn,
  isExpired,
  newKey,
  removeKey,
  rollKey,
  violationOfGrant,
} from '../../../../shared/tenants/api-keys.ts';
import { rejection } from '../../../../shared/tenants/outcome.ts';
import type { ChangeRejection } from '../../../../shared/tenants/outcome.ts';
import { formOf } from '../../components/form-body.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { forTenant } from '../visitor.ts';
import type { Visit, Visitor } from '../visitor.ts';
import { endOf, lastUse } from '../../keys/key-table.ts';
import { overlapMsFrom, rollForm } from '../../keys/roll-form.ts';
import { cappedEndText, keysHref, notAllowed, shownOnce } from './key-views.ts';
import type { KeySources } from './key-views.ts';

const here = keysHref;
/** The page of one key, with the forms that roll and revoke it. */
export function registerKey(app: FastifyInstance, sources: KeySources): void {
  app.get(
    `${here}/:id`,
    forTenant(here, (visitor, visit) => keyPage(sources, visitor, visit)),
  );
  app.post(
    `${here}/:id/roll`,
    forTenant(here, (visitor, visit) => roll(sources, visitor, visit), pageOfKey),
  );
  app.post(
    `${here}/:id/revoke`,
    forTenant(here, (visitor, visit) => revoke(sources, visitor, visit), pageOfKey),
  );
}

function pageOfKey({ params }: FastifyRequest): string {
  const { id } = params as { readonly id: string };
  return `${here}/${encodeURIComponent(id)}`;
}

async function roll(sources: KeySources, visitor: Visitor, visit: Visit): Promise<PageContent> {
  const { records, clock } = sources;
  const { access, tenantId, zone } = visitor;
  if (access.keys !== 'manage') return notAllowed(visitor);
  const overlapMs = overlapMsFrom(formOf(visit.request));
  const { key, sha256 } = newKey();
  let grantorEndMs = Infinity;
  const outcome = await records.change(tenantId, access.actor, (record) => {
    const grantor = grantorIn(record, access.keySha256, clock.now());
    if (!grantor.ok) return grantor;
    grantorEndMs = grantor.value.endMs;
    const found = findKey(record, idOf(visit));
    if (!found.ok) return found;
    const exceeded = violationOfGrant(found.value.scope, grantor.value.scope);
    if (exceeded !== null) return rejection(422, 'Key not rolled', exceeded);
    const wanted = { sha256, overlapMs, successorEndMsMax: grantorEndMs };
    return rollKey(record, found.value.sha256, wanted, clock.now());
  });
  if (!outcome.ok) return keyPage(sources, visitor, visit, outcome);
  const old = findKey(outcome.value, idOf(visit));
  const end = old.ok && old.value.expires_at !== undefined ? formatTime(old.value.expires_at, zone) : 'now';
  const left = overlapMs === 0 ? 'has ended' : `works until ${end} (${durationForReading(overlapMs)})`;
  const created = findKey(outcome.value, sha256);
  const isCapped = created.ok && keyEndMs(created.value) === grantorEndMs && grantorEndMs !== Infinity;
  const capped = isCapped ? ` ${cappedEndText(grantorEndMs, zone)}` : '';
  return shownOnce('The new key', key, `The old key ${left}; then its portal sessions end too.${capped}`);
}

async function revoke(sources: KeySources, visitor: Visitor, visit: Visit): Promise<PageContent | null> {
  const { access, tenantId } = visitor;
  if (access.keys !== 'manage') return notAllowed(visitor);
  if (formOf(visit.request).get('confirm') !== 'yes') {
    const unconfirmed = 'Tick the box: a revoked key cannot be restored.';
    return keyPage(sources, visitor, visit, rejection(422, 'Not revoked', unconfirmed));
  }
  const outcome = await sources.records.change(tenantId, access.actor, (record) => {
    const grantor = grantorIn(record, access.keySha256, sources.clock.now());
    return grantor.ok ? removeKey(record, idOf(visit)) : grantor;
  });
  if (!outcome.ok) return keyPage(sources, visitor, visit, outcome);
  await visit.reply.redirect(`${here}?done=revoked`, 303);
  return null;
}

function idOf({ request }: Visit): string {
  return (request.params as { id: string }).id;
}

async function keyPage(
  sources: KeySources,
  visitor: Visitor,
  visit: Visit,
  refused: ChangeRejection | null = null,
): Promise<PageContent> {
  const { access, tenantId, zone, usage } = visitor;
  if (access.keys === 'off') return notAllowed(visitor);
  const found = findKey(sources.records.of(tenantId), idOf(visit));
  if (!found.ok) {
    const gone = emptyState(
      'No such key',
      html`It may have been revoked. <a href="${here}">Your API keys</a>`,
    );
    return { title: 'API key', status: 404, body: html`<section class="card">${gone}</section>` };
  }
  const key = found.value;
  const nowMs = sources.clock.now();
  const used = await visit.parts.render('use', 'Its last use', async () => {
    const uses = await sources.reads.orNull(usage.keyUses(tenantId));
    return html`<p>Last use: <strong>${lastUse(key, uses, zone)}</strong></p>`;
  });
  const isOwn = key.sha256 === access.keySha256;
  const body = html`<div class="page-head">
      <div>
        <h1>${key.name ?? 'Key without a name'}</h1>
        <p class="lead"><code>${apiKeyId(key.sha256)}</code> · may do: ${scopeText(key.scope)}</p>
      </div>
      <a href="${here}">All keys</a>
    </div>
    <section class="card stack">
      <p>
        Created: ${key.created_at === undefined ? 'not recorded' : formatTime(key.created_at, zone)} · ends:
        ${endOf(key, nowMs, zone)}
      </p>
      ${
        key.rolled_to === undefined
          ? null
          : html`<p>
              Rolled:
              <a href="${here}/${apiKeyId(key.rolled_to)}"><code>${apiKeyId(key.rolled_to)}</code></a>
              replaces this key.
            </p>`
      }
      ${used}
      <p class="soft small">
        These 12 digits name the key in events and in the history of changes. It is not possible to sign in
        with them.
      </p>
    </section>
    ${access.keys === 'manage' ? html`<div class="columns">${isExpired(key, nowMs) || key.rolled_to !== undefined ? null : rollSection(key)} ${revokeSection(key, isOwn)}</div>` : null}`;
  const notice =
    refused === null ? null : ({ tone: 'bad', text: `${refused.title}. ${refused.detail}` } as const);
  return { title: key.name ?? 'API key', body, notice, status: refused?.status ?? 200 };
}

function rollSection({ sha256 }: ApiKey): Html {
  return html`<section class="card stack">
    <h2>Roll</h2>
    <p>
      Creates a new key of the same name and scope. This key keeps working for the time that you choose, so
      that your applications can change over.
    </p>
    ${rollForm(`${here}/${apiKeyId(sha256)}/roll`)}
  </section>`;
}

function revokeSection({ sha256 }: ApiKey, isOwn: boolean): Html {
  return html`<section class="card stack">
    <h2>Revoke</h2>
    <p>
      Requests with this key are refused within a second, and the portal sessions that it opened
      end${isOwn ? ', also this one' : ''}. This cannot be undone.
    </p>
    <form method="post" action="${here}/${apiKeyId(sha256)}/revoke">
      <p>
        <label
          ><input type="checkbox" name="confirm" value="yes" required /> No application needs this key any
          longer</label
        >
      </p>
      <button class="danger" type="submit">Revoke the key</button>
    </form>
  </section>`;
}

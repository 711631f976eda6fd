import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../../shared/runtime/time/clock.ts';
import type { TenantRecords } from '../../../../shared/tenants/records.ts';
import { html } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import type { Visitor } from '../visitor.ts';

export interface KeySources {
  readonly records: TenantRecords;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

export const keysHref = '/keys';

/** The page that shows a new key. No later page can show it again. */
export function shownOnce(title: string, key: string, note: string | null): PageContent {
  const body = html`<section class="card stack">
    <h1>${title}</h1>
    <code class="secret">${key}</code>
    <p>Copy it now: only its hash is kept, so it cannot be shown again.</p>
    ${note === null ? null : html`<p>${note}</p>`}
    <p><a href="${keysHref}">Back to your API keys</a></p>
  </section>`;
  return { title, body, status: 201 };
}

/** Why a new key ends earlier than requested. */
export function cappedEndText(endMs: number, zone: string): string {
  return `It ends at ${formatTime(endMs, zone)}, together with the key of this session: a key cannot create one that outlives it.`;
}

/** The answer to a form of a session that may not manage keys. */
export function notAllowed({ access }: Visitor): PageContent {
  return {
    title: 'API keys',
    status: access.keys === 'off' ? 404 : 403,
    body: html`<section class="card">
      ${
        access.keys === 'off'
          ? emptyState('No such page', 'Your provider manages the API keys.')
          : emptyState('Nothing was changed', viewOnlyText)
      }
    </section>`,
  };
}

export const viewOnlyText =
  'You can see the keys here, but not change them: your provider manages them, or you signed in with a token, or with a key or a link that may not.';

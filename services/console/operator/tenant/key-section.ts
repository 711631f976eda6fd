import { apiKeyId, apiKeysOf } from '../../../../shared/domain/tenant.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { isExpired } from '../../../../shared/tenants/api-keys.ts';
import { field, formError } from '../../components/form.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { forRole, refusalOf } from './tenant-forms.ts';
import type { TenantForms } from './tenant-forms.ts';

const keySpans = [
  ['', 'Ever'],
  ['1d', '1 day'],
  ['7d', '1 week'],
  ['90d', '90 days'],
  ['365d', '1 year'],
] as const;

export function keySection(forms: TenantForms): Html {
  const { path, record, nowMs, zone } = forms;
  const refused = refusalOf(forms, 'api-keys');
  const keys = record === null ? [] : apiKeysOf(record);
  return html`<section class="card stack">
    <h2>API keys</h2>
    ${
      keys.length === 0
        ? html`<p class="soft">None.</p>`
        : html`<ul class="list">
            ${keys.map(
              (key) =>
                html`<li>
                  <code>${apiKeyId(key.sha256)}…</code> ${key.name ?? null}
                  ${key.expires_at === undefined ? null : keyEnd(key.expires_at, isExpired(key, nowMs), zone)}
                  <form
                    class="plain"
                    method="post"
                    action="${path}/api-keys/${key.sha256}/delete"
                    ${forRole('admin', forms)}
                  >
                    <button class="quiet" type="submit">Delete</button>
                  </form>
                </li>`,
            )}
          </ul>`
    }
    <form method="post" action="${path}/api-keys" ${forRole('admin', forms)}>
      ${formError(refused)}
      <div class="row">
        ${field({ form: 'key', name: 'name', label: 'What for', lengthMax: 200, placeholder: 'CI' }, refused)}
        ${field({ kind: 'select', form: 'key', name: 'for', label: 'Good for', options: keySpans }, refused)}
      </div>
      <button class="second" type="submit">Create a key</button>
    </form>
  </section>`;
}

function keyEnd(end: string, expired: boolean, zone: string): Html {
  return expired
    ? html`<span class="badge plain">expired</span>`
    : html`<span class="soft small">until ${formatTime(end, zone)}</span>`;
}

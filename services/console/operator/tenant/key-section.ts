import { apiKeyId, apiKeysOf } from '../../../../shared/domain/tenant.ts';
import type { ApiKey } from '../../../../shared/domain/tenant.ts';
import { isExpired } from '../../../../shared/tenants/api-keys.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { createForm } from '../../keys/key-form.ts';
import { keyTable } from '../../keys/key-table.ts';
import { rollForm } from '../../keys/roll-form.ts';
import { forRole, refusalOf } from './tenant-forms.ts';
import type { TenantForms } from './tenant-forms.ts';

type KeyForms = Pick<TenantForms, 'path' | 'record' | 'nowMs' | 'zone' | 'role'>;

/** API keys of the tenant: what each may do, its last use and its end, and the forms that roll, revoke and create keys. */
export function keySection(forms: TenantForms, list: Html): Html {
  const { path } = forms;
  const refused = refusalOf(forms, 'api-keys');
  return html`<section class="card stack" id="keys">
    <h2>API keys</h2>
    ${list}
    <details class="fold" ${refused === null ? null : html`open`} ${forRole('admin', forms)}>
      <summary>Create a key</summary>
      ${createForm(`${path}/api-keys`, null, refused, forRole('admin', forms))}
    </details>
  </section>`;
}

/** The list of keys, which needs the times of their last use from ClickHouse. */
export function keyList(forms: KeyForms, uses: ReadonlyMap<string, string> | null): Html {
  const { record, nowMs, zone } = forms;
  const name = ({ name: named, sha256 }: ApiKey): Html =>
    html`${named ?? 'Without a name'}<br /><code>${apiKeyId(sha256)}</code>`;
  const further = [{ title: 'Actions', cell: (key: ApiKey) => keyActions(key, forms) }];
  return keyTable(record === null ? [] : apiKeysOf(record), {
    ...{ caption: 'API keys', zone, nowMs, uses, name, further },
  });
}

function keyActions(key: ApiKey, forms: KeyForms): Html {
  const path = `${forms.path}/api-keys/${key.sha256}`;
  const mayRoll = !isExpired(key, forms.nowMs) && key.rolled_to === undefined;
  return html`<div ${forRole('admin', forms)}>
    ${
      mayRoll
        ? html`<details class="fold small">
            <summary>Roll</summary>
            ${rollForm(`${path}/roll`, { form: `roll-${apiKeyId(key.sha256)}`, attributes: forRole('admin', forms) })}
          </details>`
        : null
    }
    <form class="plain" method="post" action="${path}/delete" ${forRole('admin', forms)}>
      <button class="quiet" type="submit" aria-label="Revoke ${key.name ?? apiKeyId(key.sha256)}">
        Revoke
      </button>
    </form>
  </div>`;
}

import type { NotificationSettings } from '../../../../shared/domain/tenant.ts';
import type { Target } from '../../../../shared/tenants/notification-targets.ts';
import { field, formError } from '../../components/form.ts';
import type { RefusedForm } from '../../components/form.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { channelNames, targetTable, testForm } from '../../notifications/target-table.ts';

/**
 * The targets of notifications, each with its test, and the form that adds one. Secrets and whole addresses are only in
 * the page of a session that may change them: the secret of a webhook signs messages, and a Slack address accepts them.
 */
export function targetsSection(
  settings: NotificationSettings | undefined,
  mayManage: boolean,
  refused: RefusedForm | null,
): Html {
  return html`<section class="card">
    <h2 class="card-head">Where to</h2>
    ${targetTable(settings, {
      address: mayManage ? addressCell : ({ shown }) => shown,
      actions: mayManage ? actions : null,
      none: 'Add a webhook, a Slack address or an e-mail address.',
    })}
    ${mayManage ? addForm(refused) : null}
  </section>`;
}

function addressCell({ address, secrets: [secret] }: Target): Html {
  return html`<span class="break">${address}</span> ${
      secret === undefined
        ? null
        : html`<details>
            <summary class="small">Secret of its signature</summary>
            <code class="break">${secret}</code>
          </details>`
    }`;
}

function actions(target: Target): Html {
  const { id, shown } = target;
  return html`${testForm(target, '/notifications/test')}
    <form class="plain" method="post" action="/notifications/targets/remove">
      <input type="hidden" name="target" value="${id}" />
      <button class="quiet" type="submit" aria-label="Remove ${shown}">Remove</button>
    </form>`;
}

function addForm(refused: RefusedForm | null): Html {
  return html`<form method="post" action="/notifications/targets">
    ${formError(refused)}
    <div class="row">
      ${field({ kind: 'select', name: 'channel', label: 'Add', options: Object.entries(channelNames) }, refused)}
      ${field(
        {
          name: 'address',
          label: 'Address',
          required: true,
          lengthMax: 2000,
          placeholder: 'https://example.com/hooks/limits',
        },
        refused,
      )}
    </div>
    <button class="second" type="submit">Add the target</button>
    <p class="hint">Webhooks are signed (Standard Webhooks); the secret shows here once it is added.</p>
  </form>`;
}

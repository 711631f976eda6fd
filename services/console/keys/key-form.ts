import { keyPermissions } from '../../../shared/domain/tenant.ts';
import type { KeyPermission, KeyScope } from '../../../shared/domain/tenant.ts';
import { spanMs } from '../../../shared/domain/time/duration.ts';
import type { KeyRequest } from '../../../shared/tenants/api-keys.ts';
import { checks, field, formError } from '../components/form.ts';
import type { RefusedForm } from '../components/form.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';

const permissionTexts: Readonly<Record<KeyPermission, string>> = {
  requests: 'Call the API',
  usage: 'Read usage and limits, and open the portal',
  events: 'Publish usage events',
  manage: 'Change settings and keys in the portal',
};

const spans = [
  ['', 'Until it is revoked'],
  ['1d', '1 day'],
  ['7d', '1 week'],
  ['90d', '90 days'],
  ['365d', '1 year'],
] as const;

const nameLengthMax = 200;

/** The section with the form that creates a key, for a session whose key has this scope. */
export function createSection(own: KeyScope | null, refused: RefusedForm | null): Html {
  return html`<section class="card">
    <h2 class="card-head">Create a key</h2>
    ${createForm('/keys', own, refused)}
  </section>`;
}

/** The form that creates a key. A session of a key with a scope is offered no more than this scope. */
export function createForm(
  action: string,
  own: KeyScope | null,
  refused: RefusedForm | null,
  /** Further attributes of the form. */
  attributes: Html | null = null,
): Html {
  const offered = keyPermissions.filter((name) => own?.permissions.includes(name) !== false);
  const chosen: readonly string[] = refused?.values.getAll('permission') ?? offered;
  return html`<form method="post" action="${action}" ${attributes}>
    ${formError(refused)}
    <div class="row">
      ${field({ form: 'key', name: 'name', label: 'What is it for?', required: true, lengthMax: nameLengthMax, placeholder: 'Build server' }, refused)}
      ${field({ kind: 'select', form: 'key', name: 'for', label: 'Valid', options: spans }, refused)}
    </div>
    ${checks(
      {
        ...{ name: 'permission', legend: 'What may it do?', checked: chosen },
        options: offered.map((name) => [name, permissionTexts[name]] as const),
      },
      refused?.field === 'scope' ? refused.detail : null,
    )}
    ${field(
      {
        kind: 'area',
        form: 'key',
        name: 'routes',
        label: 'Only these requests',
        mono: true,
        value: own?.routes?.join('\n') ?? '',
        placeholder: 'GET /v1/**',
        hint: 'One a line: a method and a path. * stands for one segment, ** at the end for the remaining ones. Empty: all requests.',
      },
      refused,
    )}
    <button type="submit">Create the key</button>
  </form>`;
}

/**
 * The key that the form describes. All permissions without routes are a key without a scope, unless the caller's own key has one.
 */
export function keyFrom(form: URLSearchParams, own: KeyScope | null, nowMs: number): KeyRequest {
  const name = (form.get('name') ?? '').trim();
  const span = form.get('for') ?? '';
  const permissions = form.getAll('permission');
  const routes = (form.get('routes') ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const isEverything =
    own === null && routes.length === 0 && keyPermissions.every((one) => permissions.includes(one));
  return {
    ...(name === '' ? {} : { name: name.slice(0, nameLengthMax) }),
    ...(span === '' ? {} : { expires_at: endAfter(span, nowMs) }),
    ...(isEverything ? {} : { scope: { permissions, ...(routes.length === 0 ? {} : { routes }) } }),
  };
}

/** Returns a span that is not valid unchanged; the record's contract then refuses it. */
function endAfter(span: string, nowMs: number): string {
  const ms = spanMs(span);
  const end = new Date(nowMs + (ms ?? NaN));
  return Number.isNaN(end.getTime()) ? span : end.toISOString();
}

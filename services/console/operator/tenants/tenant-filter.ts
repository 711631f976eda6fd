import type { Policy } from '../../../../shared/domain/policy.ts';
import { tenantStates } from '../../../../shared/tenants/list/select.ts';
import type { TenantFilter, TenantState } from '../../../../shared/tenants/list/select.ts';
import { title } from '../../components/format.ts';
import { field } from '../../components/form.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';

type Query = Readonly<Record<string, string | undefined>>;

export function filterOf({ search = '', plan = '', group = '', state }: Query): TenantFilter {
  return { search, plan, group, state: tenantStates.find((one) => one === state) ?? null };
}

const stateLabels: Readonly<Record<TenantState, string>> = {
  blocked: 'Blocked',
  boosted: 'With a raised limit',
  record: 'With a record',
  'no-record': 'Without a record',
};

/** Form that selects tenants. A new selection keeps the order and begins at the first page. */
export function filterForm(query: Query, policy: Policy, groups: readonly string[]): Html {
  const { search = '', plan = '', group = '', state = '' } = query;
  const plans = new Set([...policy.plans.keys(), ...(plan === '' ? [] : [plan])]);
  return html`<form class="filters" method="get" action="/operator/tenants" role="search">
    ${field({ kind: 'search', name: 'search', label: 'Id or name', value: search, lengthMax: 256 })}
    ${field({
      kind: 'select',
      name: 'plan',
      label: 'Plan',
      value: plan,
      options: [['', 'All'], ...[...plans].map((name) => [name, title(name)] as const)],
    })}
    ${
      groups.length === 0
        ? null
        : field({
            kind: 'select',
            name: 'group',
            label: 'Group',
            value: group,
            options: [['', 'All'], ...groups.map((name) => [name, name] as const)],
          })
    }
    ${field({
      kind: 'select',
      name: 'state',
      label: 'State',
      value: state,
      options: [['', 'All'], ...tenantStates.map((one) => [one, stateLabels[one]] as const)],
    })}
    ${['sort', 'order'].map((name) =>
      query[name] === undefined ? null : html`<input type="hidden" name="${name}" value="${query[name]}" />`,
    )}
    <div class="actions"><button class="second" type="submit">Search</button></div>
  </form>`;
}

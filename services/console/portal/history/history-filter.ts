import { historyDimensions } from '../../../../shared/clickhouse/queries/portal/usage-history.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import { field } from '../../components/form.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { linkWith } from '../../components/links.ts';
import type { Address } from '../../components/links.ts';
import { historyMetrics, historySpans } from './wanted-history.ts';
import type { WantedHistory } from './wanted-history.ts';

/** Links to the spans, with all other choices unchanged. */
export function spanLinks({ span }: WantedHistory, address: Address): Html {
  return html`<nav class="segments" aria-label="Span">
    ${Object.entries(historySpans).map(
      ([one, label]) =>
        html`<a
          href="${linkWith(address, { span: one, from: null, to: null })}"
          ${one === span ? html`aria-current="true"` : null}
          >${label}</a
        >`,
    )}
  </nav>`;
}

/** Form that chooses the metric, the division, the filter and a custom span. */
export function historyFilter(wanted: WantedHistory, policy: Policy, zone: string): Html {
  const { metric, by, query, compare, span, dates } = wanted;
  const { route = '', user = '', model = '' } = query.filter;
  const routes = [
    ...new Set([...policy.routes.map(({ match }) => match), '*', ...(route === '' ? [] : [route])]),
  ];
  return html`<form class="filters" method="get" action="/history" aria-label="Choice">
    ${field({
      kind: 'select',
      name: 'metric',
      label: 'Show',
      value: metric,
      options: Object.entries(historyMetrics),
    })}
    ${field({
      kind: 'select',
      name: 'by',
      label: 'Divided by',
      value: by ?? '',
      options: [['', 'nothing'], ...historyDimensions.map((name) => [name, name] as const)],
    })}
    ${field({
      kind: 'select',
      name: 'route',
      label: 'Route',
      value: route,
      options: [
        ['', 'All'],
        ...routes.map((one) => [one, one === '*' ? 'no route of its own' : one] as const),
      ],
    })}
    ${field({ name: 'user', label: 'User', value: user, lengthMax: 256 })}
    ${field({
      kind: 'select',
      name: 'decision',
      label: 'Decision',
      value: query.filter.decision ?? '',
      options: [
        ['', 'All'],
        ['allowed', 'allowed'],
        ['limited', 'refused'],
        ['shadow_limited', 'not enforced'],
        ['bypassed', 'bypassed'],
      ],
    })}
    ${field({ name: 'model', label: 'Model', value: model, lengthMax: 128 })}
    ${field({
      kind: 'select',
      name: 'compare',
      label: 'Compare',
      value: compare ? '1' : '',
      options: [
        ['', 'with nothing'],
        ['1', 'with the period before'],
      ],
    })}
    ${field({
      kind: 'select',
      name: 'span',
      label: 'Time',
      value: span,
      options: [...Object.entries(historySpans), ['custom', 'From … to …']],
    })}
    ${field({ kind: 'date', name: 'from', label: `From (${zone})`, value: dates.from })}
    ${field({ kind: 'date', name: 'to', label: 'To, included', value: dates.to })}
    <div class="actions"><button class="second" type="submit">Show</button></div>
  </form>`;
}

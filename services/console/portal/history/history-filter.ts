import { historyDimensions } from '../../../../shared/clickhouse/queries/portal/usage-history.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import { field } from '../../components/form.ts';
import { title } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { linkWith } from '../../components/links.ts';
import type { Address } from '../../components/links.ts';
import { historyMetrics, historySpans } from './wanted-history.ts';
import type { WantedHistory, WantedSpan } from './wanted-history.ts';
import { groupFilter, meterGroups, meterMetric } from './wanted-meter.ts';
import type { WantedMeter } from './wanted-meter.ts';

/** Links to the spans, with all other choices unchanged. */
export function spanLinks({ span }: WantedSpan, address: Address): Html {
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

/** Form that chooses the metric, the division, the filter and a custom span of the history of requests. */
export function historyFilter(wanted: WantedHistory, policy: Policy, zone: string): Html {
  const { metric, by, query } = wanted;
  const { route = '', user = '', model = '' } = query.filter;
  const routes = [
    ...new Set([...policy.routes.map(({ match }) => match), '*', ...(route === '' ? [] : [route])]),
  ];
  const dimensions = [
    ...historyDimensions.map((name) => [name, name] as const),
    ...meterGroups(policy.meters),
  ];
  const own = html`${field({
    kind: 'select',
    name: 'route',
    label: 'Route',
    value: route,
    options: [['', 'All'], ...routes.map((one) => [one, one === '*' ? 'no route of its own' : one] as const)],
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
  ${field({ name: 'model', label: 'Model', value: model, lengthMax: 128 })}`;
  return choiceForm(wanted, policy, zone, { metric, by, dimensions, own });
}

/** The same form for the history of a meter, with a filter for each of the groups of the meter. */
export function meterFilter(wanted: WantedMeter, policy: Policy, zone: string): Html {
  const { definition, by, query } = wanted;
  const own = html`${definition.groupBy.map((name) =>
    field({ name: groupFilter(name), label: title(name), value: query.filter[name] ?? '', lengthMax: 256 }),
  )}`;
  const dimensions = definition.groupBy.map((name) => [name, name] as const);
  return choiceForm(wanted, policy, zone, { metric: meterMetric(definition.name), by, dimensions, own });
}

interface Choice {
  readonly metric: string;
  readonly by: string | null;
  readonly dimensions: readonly (readonly [value: string, label: string])[];
  /** Fields that filter. */
  readonly own: Html;
}

function choiceForm(
  { compare, span, dates }: WantedSpan,
  { meters }: Policy,
  zone: string,
  { metric, by, dimensions, own }: Choice,
): Html {
  const ofMeters = [...meters.keys()].map((name) => [meterMetric(name), `${name} (meter)`] as const);
  return html`<form class="filters" method="get" action="/history" aria-label="Choice">
    ${field({
      kind: 'select',
      name: 'metric',
      label: 'Show',
      value: metric,
      options: [...Object.entries(historyMetrics), ...ofMeters],
    })}
    ${field({
      kind: 'select',
      name: 'by',
      label: 'Divided by',
      value: by ?? '',
      options: [['', 'nothing'], ...dimensions],
    })}
    ${own}
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

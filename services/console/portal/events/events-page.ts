import type { ListedEvent } from '../../../../shared/clickhouse/queries/portal/event-list.ts';
import { moneyText } from '../../../../shared/domain/money.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { requestEventType } from '../../../../shared/domain/usage-event.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../../shared/runtime/time/clock.ts';
import { nextFile, sendCsv } from '../../browser/csv-file.ts';
import { field } from '../../components/form.ts';
import { count } from '../../../../shared/domain/text/counted.ts';
import { money } from '../../components/format.ts';
import { expiredNotice, expiredText, freshnessLine, readFreshness } from '../../components/freshness.ts';
import { breakable, html, pathCode } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState, failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { addressOf, linkWith } from '../../components/links.ts';
import { fileRowsMax, table } from '../../components/table.ts';
import type { Column, FileColumn } from '../../components/table.ts';
import type { Visit, Visitor } from '../visitor.ts';
import { decisionBadge, decisionOptions } from './decisions.ts';
import { cursorText, eventSpans, wantedEvents } from './wanted-events.ts';
import type { WantedEvents } from './wanted-events.ts';

export interface EventSources {
  readonly policy: () => Policy;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

const pageSize = 50;

/** Page of the recorded events of the tenant, newest first. The address contains the filter and the position. */
export async function eventsPage(
  sources: EventSources,
  visitor: Visitor,
  { request, reply, parts }: Visit,
): Promise<PageContent | null> {
  const { tenantId, usage, zone } = visitor;
  const query = request.query as Record<string, string | undefined>;
  const wanted = wantedEvents(query, sources.clock.now());
  const columns = columnsOf(sources.policy(), zone);
  if (query['format'] === 'csv') {
    const all = { cursor: wanted.cursor, countMax: fileRowsMax };
    const [{ events, next }, since] = await Promise.all([
      usage.events(tenantId, wanted.filter, all),
      usage.eventsStoredSince(sources.clock.now()),
    ]);
    const href =
      next === null ? null : linkWith(addressOf(request), { format: 'csv', before: cursorText(next) });
    await sendCsv(reply, {
      ...{ name: `events-${wanted.span}`, columns: [...columns, ...fileColumns], rows: events },
      remaining: nextFile(href),
      note: expiredText(wanted.filter.startMs, since, zone),
    });
    return null;
  }
  const content = await parts.render('list', 'The list of events', async () => {
    const page = { cursor: wanted.cursor, countMax: pageSize };
    const [read, since, freshness] = await Promise.all([
      sources.reads.orNull(usage.events(tenantId, wanted.filter, page)),
      sources.reads.orNull(usage.eventsStoredSince(sources.clock.now())),
      readFreshness({ usage, reads: sources.reads }),
    ]);
    if (read === null) return failedState('The list of events');
    return html`<p>${freshnessLine(freshness)}</p>
      ${expiredNotice(wanted.filter.startMs, since, zone)}
      ${table({
        caption: 'Events',
        columns,
        rows: read.events,
        empty: emptyState('No events', 'Nothing that fits this filter was recorded in this time.'),
        address: addressOf(request),
        cursor: {
          first: wanted.cursor === null,
          next: read.next === null ? null : cursorText(read.next),
          nextLabel: read.events.length < pageSize ? 'Search older events' : 'Older',
        },
        csv: 'parts',
      })}`;
  });
  const body = html`<div class="page-head">
      <div>
        <h1>Events</h1>
        <p class="lead">
          What was recorded for your account: requests, and usage that your provider reported.
        </p>
      </div>
    </div>
    <section class="card stack">${lookUpForm()} ${filterForm(sources.policy(), wanted)} ${content}</section>`;
  return { title: 'Events', body };
}

/** Finds an event by its id. The decision id of a request is the id of its event. */
function lookUpForm(): Html {
  return html`<form class="search" method="get" action="/events/find">
    <label class="hidden" for="event">Event, decision or request id</label>
    <input class="mono" id="event" name="id" placeholder="Event or decision id, e.g. 019a…" required />
    <button class="second" type="submit">Look up</button>
  </form>`;
}

const statusOptions: readonly (readonly [string, string])[] = [
  ['', 'All'],
  ['2xx', '2xx served'],
  ['3xx', '3xx redirected'],
  ['4xx', '4xx client errors'],
  ['429', '429 refused'],
  ['5xx', '5xx server errors'],
];

function filterForm(policy: Policy, { span, status, filter }: WantedEvents): Html {
  const { route = '', user = '', decision = '', type = '', source = '', model = '', id = '' } = filter;
  const form = 'filter';
  const routes = new Set([...policy.routes.map(({ match }) => match), '*', ...(route === '' ? [] : [route])]);
  const statuses = statusOptions.some(([value]) => value === status)
    ? statusOptions
    : [...statusOptions, [status, status] as const];
  return html`<form class="filters" method="get" action="/events" aria-label="Filter">
    ${id === '' ? null : html`<input type="hidden" name="id" value="${id}" />`}
    ${field({
      ...{ kind: 'select', form, name: 'span', label: 'Time', value: span },
      options: Object.entries(eventSpans).map(([value, [, label]]) => [value, label] as const),
    })}
    ${field({
      kind: 'select',
      form,
      name: 'route',
      label: 'Route',
      value: route,
      options: [
        ['', 'All'],
        ...[...routes].map((one) => [one, one === '*' ? 'no route of its own' : one] as const),
      ],
    })}
    ${field({ kind: 'select', form, name: 'status', label: 'Status', value: status, options: statuses })}
    ${field({ kind: 'select', form, name: 'decision', label: 'Decision', value: decision, options: decisionOptions })}
    ${field({ form, name: 'user', label: 'User', value: user, lengthMax: 256 })}
    ${field({ form, name: 'model', label: 'Model', value: model, lengthMax: 128 })}
    ${field({ form, name: 'type', label: 'Type', value: type, lengthMax: 256, placeholder: requestEventType })}
    ${field({ form, name: 'source', label: 'Source', value: source, lengthMax: 256 })}
    <div class="actions">
      <button class="second" type="submit">Show</button>
      <a href="/events">Clear</a>
    </div>
  </form>`;
}

function columnsOf({ currency }: Policy, zone: string): readonly Column<ListedEvent>[] {
  return [
    { title: 'Time', kind: 'time', cell: ({ time }) => formatTime(time, zone), csv: ({ time }) => time },
    {
      title: 'Event',
      cell: (event) =>
        event.type === requestEventType
          ? pathCode(`${event.method} ${event.path}`)
          : html`${event.type} <span class="soft small">from ${event.source}</span>`,
      csv: ({ type }) => type,
    },
    { title: 'User', cell: ({ user_id: user }) => breakable(user || '–'), csv: ({ user_id: user }) => user },
    { title: 'Status', kind: 'number', cell: ({ status }) => status || '–', csv: ({ status }) => status },
    { title: 'Decision', cell: decisionBadge, csv: ({ decision }) => decision },
    { title: 'Units', kind: 'number', cell: ({ units }) => count(units), csv: ({ units }) => units },
    {
      title: 'Cost',
      kind: 'number',
      cell: ({ cost, decision }) => (decision === 'limited' ? '–' : money(cost, currency)),
      csv: ({ cost, decision }) => (decision === 'limited' ? '0' : moneyText(cost)),
    },
    {
      title: '',
      cell: (event) => html`<a href="${eventPath(event)}">Details</a>`,
    },
  ];
}

/** Columns of the CSV file that the page has no room for. */
const fileColumns: readonly FileColumn<ListedEvent>[] = [
  { title: 'Event id', csv: ({ event_id: id }) => id },
  { title: 'Source', csv: ({ source }) => source },
  { title: 'Method', csv: ({ method }) => method },
  { title: 'Path', csv: ({ path }) => path },
  { title: 'Route', csv: ({ route }) => route },
  { title: 'Limits without room', csv: ({ limited_by: names }) => names.join(' ') },
  { title: 'Latency (ms)', csv: ({ latency_ms: latency }) => latency },
  { title: 'Model', csv: ({ model }) => model },
  { title: 'API key', csv: ({ api_key: key }) => key },
];

/** Address of one event. The time is needed to find events whose id does not contain it. */
function eventPath({ event_id: id, time }: ListedEvent): string {
  return `/events/${encodeURIComponent(id)}?at=${Date.parse(time)}`;
}

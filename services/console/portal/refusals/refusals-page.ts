import type { EventCursor } from '../../../../shared/clickhouse/queries/portal/event-list.ts';
import type { RefusalFilter, RefusalGroup } from '../../../../shared/clickhouse/queries/portal/refusals.ts';
import { count } from '../../../../shared/domain/text/counted.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../../shared/runtime/time/clock.ts';
import { limitNames } from '../../../../shared/tenants/record/policy-violations.ts';
import { nextFile, sendCsv } from '../../browser/csv-file.ts';
import { field } from '../../components/form.ts';
import { expiredNotice, expiredText } from '../../components/freshness.ts';
import { breakable, html, pathCode } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState, failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { addressOf, linkWith } from '../../components/links.ts';
import type { Address } from '../../components/links.ts';
import { fileRowsMax, table } from '../../components/table.ts';
import type { Column } from '../../components/table.ts';
import { explainRefusal } from '../../../../shared/tenants/decisions/explain-refusal.ts';
import { cursorText, readCursor } from '../events/wanted-events.ts';
import type { Visit, Visitor } from '../visitor.ts';

export interface RefusalSources {
  readonly policy: () => Policy;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

const hourMs = 3_600_000;
const spans = {
  '1h': [hourMs, 'Last hour'],
  '24h': [24 * hourMs, 'Last 24 hours'],
  '7d': [168 * hourMs, 'Last 7 days'],
  '30d': [720 * hourMs, 'Last 30 days'],
} as const;
const pageSize = 50;
/** A visitor who needs older rows narrows the filter. */
const offsetMax = 10_000;

interface Wanted {
  readonly span: keyof typeof spans;
  readonly filter: RefusalFilter;
  readonly grouped: boolean;
  /** Rows of the list before the page. */
  readonly offset: number;
  /** Position from which a further file continues. */
  readonly cursor: EventCursor | null;
  /** End of the time; the address of a further file has it. */
  readonly atMs: number;
}

/** Page of the requests over a limit. The address contains the filter, so that it can be sent to other people. */
export async function refusalsPage(
  sources: RefusalSources,
  visitor: Visitor,
  { request, reply, parts }: Visit,
): Promise<PageContent | null> {
  const { tenantId, usage } = visitor;
  const query = request.query as Record<string, string | undefined>;
  const wanted = wantedOf(query, sources.clock.now());
  const { filter, grouped, offset } = wanted;
  const columns = columnsOf(sources, visitor, grouped);
  if (query['format'] === 'csv') {
    const part = { offset: 0, cursor: wanted.cursor, countMax: fileRowsMax + 1 };
    const [rows, since] = await Promise.all([
      usage.refusalList(tenantId, filter, part, grouped),
      usage.eventsStoredSince(sources.clock.now()),
    ]);
    await sendCsv(reply, {
      ...{ name: `refusals-${wanted.span}`, columns, rows: rows.slice(0, fileRowsMax) },
      remaining: rows.length > fileRowsMax ? remainingRows(wanted.atMs, rows, addressOf(request)) : null,
      note: expiredText(filter.startMs, since, visitor.zone),
    });
    return null;
  }
  const content = await parts.render('list', 'The list of refusals', async () => {
    const part = { offset, countMax: pageSize + 1 };
    const [rows, since] = await Promise.all([
      sources.reads.orNull(usage.refusalList(tenantId, filter, part, grouped)),
      sources.reads.orNull(usage.eventsStoredSince(sources.clock.now())),
    ]);
    if (rows === null) return failedState('The list of refusals');
    return html`${expiredNotice(filter.startMs, since, visitor.zone)}
    ${table({
      caption: 'Refusals',
      columns,
      rows: rows.slice(0, pageSize),
      empty: emptyState('Nothing was refused', 'With this filter every request had room in all limits.'),
      address: addressOf(request),
      page: { offset, size: pageSize, total: null, more: rows.length > pageSize && offset < offsetMax },
      csv: 'parts',
    })}`;
  });
  const body = html`<div class="page-head">
      <div>
        <h1>Refusals</h1>
        <p class="lead">Requests that were answered with 429, and why. Latest first.</p>
      </div>
      <a class="button second" href="/guide">How to handle a 429</a>
    </div>
    <section class="card stack">
      ${decisionForm()} ${filterForm(sources.policy(), wanted)} ${content}
    </section>`;
  return { title: 'Refusals', body };
}

/** How the rows after those of a file are read. `atMs` is the end of the time of all files. */
function remainingRows(atMs: number, rows: readonly RefusalGroup[], address: Address): string | null {
  const last = rows[fileRowsMax - 1];
  if (last === undefined) return null;
  // The next file begins after the last row of this one, so no row is in two files. It has the same end of time, so that its span
  // has the same start.
  const before = cursorText({ timeMs: Date.parse(last.last), id: last.event_id });
  return nextFile(linkWith(address, { format: 'csv', at: String(atMs), before, offset: null }));
}

function wantedOf(query: Record<string, string | undefined>, nowMs: number): Wanted {
  const text = (name: string): string | undefined => (query[name] ?? '').trim() || undefined;
  const span = Object.hasOwn(spans, query['span'] ?? '') ? (query['span'] as keyof typeof spans) : '7d';
  const [route, user, limit, decision] = ['route', 'user', 'limit', 'decision'].map(text);
  const offset = Number(query['offset'] ?? 0);
  const isFile = query['format'] === 'csv';
  const stated = isFile && /^\d{1,15}$/.test(query['at'] ?? '') ? Number(query['at']) : null;
  const atMs = Math.min(stated ?? nowMs, nowMs);
  return {
    span,
    filter: {
      startMs: atMs - spans[span][0],
      endMs: isFile ? atMs : atMs + hourMs,
      ...(route === undefined ? {} : { route }),
      ...(user === undefined ? {} : { user }),
      ...(limit === undefined ? {} : { limit }),
      ...(decision === undefined ? {} : { decision }),
    },
    grouped: query['view'] !== 'each',
    offset: Number.isFinite(offset) ? Math.min(offsetMax, Math.max(0, Math.trunc(offset))) : 0,
    cursor: isFile ? readCursor(query['before'] ?? '') : null,
    atMs,
  };
}

/** Finds a decision by the id that is in the 429 response. */
function decisionForm(): Html {
  return html`<form class="search" method="get" action="/refusals/find">
    <label class="hidden" for="decision">Decision id</label>
    <input class="mono" id="decision" name="id" placeholder="Decision id of a 429, e.g. 019a…" required />
    <button class="second" type="submit">Look up</button>
  </form>`;
}

function filterForm(policy: Policy, { span, filter, grouped }: Wanted): Html {
  const form = 'filter';
  const all = (values: readonly string[], selected = ''): readonly (readonly [string, string])[] => [
    ['', 'All'],
    ...[...new Set([...values, ...(selected === '' ? [] : [selected])])].map(
      (value) => [value, value] as const,
    ),
  ];
  const { route = '', user = '', limit = '' } = filter;
  const routes = policy.routes.map(({ match }) => match);
  return html`<form class="filters" method="get" action="/refusals" aria-label="Filter">
    ${field({
      kind: 'select',
      form,
      name: 'span',
      label: 'Time',
      value: span,
      options: Object.entries(spans).map(([value, [, label]]) => [value, label] as const),
    })}
    ${field({ kind: 'select', form, name: 'route', label: 'Route', value: route, options: all(routes, route) })}
    ${field({ kind: 'select', form, name: 'limit', label: 'Limit', value: limit, options: all(limitNames(policy), limit) })}
    ${field({ form, name: 'user', label: 'User', value: user, lengthMax: 256 })}
    ${field({
      kind: 'select',
      form,
      name: 'decision',
      label: 'Decision',
      value: filter.decision ?? '',
      options: [
        ['', 'All'],
        ['limited', 'refused'],
        ['shadow_limited', 'not enforced'],
      ],
    })}
    ${field({
      kind: 'select',
      form,
      name: 'view',
      label: 'Repeats',
      value: grouped ? '' : 'each',
      options: [
        ['', 'in one row'],
        ['each', 'each in a row'],
      ],
    })}
    <div class="actions"><button class="second" type="submit">Show</button></div>
  </form>`;
}

function columnsOf(
  { policy }: RefusalSources,
  { record, zone }: Visitor,
  grouped: boolean,
): readonly Column<RefusalGroup>[] {
  const repeats: readonly Column<RefusalGroup>[] = [
    {
      title: 'Requests',
      kind: 'number',
      cell: ({ requests }) => count(requests),
      csv: ({ requests }) => requests,
    },
    { title: 'First', kind: 'time', cell: ({ first }) => formatTime(first, zone), csv: ({ first }) => first },
  ];
  return [
    {
      title: grouped ? 'Latest' : 'Time',
      kind: 'time',
      cell: ({ last }) => formatTime(last, zone),
      csv: ({ last }) => last,
    },
    ...(grouped ? repeats : []),
    {
      title: 'Request',
      cell: ({ method, path }) => pathCode(`${method} ${path}`),
      csv: ({ method, path }) => `${method} ${path}`,
    },
    { title: 'User', cell: ({ user_id: user }) => breakable(user || '–'), csv: ({ user_id: user }) => user },
    {
      title: 'Why',
      kind: 'sentence',
      cell: (row) =>
        html`${explainRefusal({ ...row, time: row.last }, policy(), record).reason}
        ${row.decision === 'shadow_limited' ? html`<span class="badge plain">let pass: not enforced</span>` : null}`,
      csv: ({ limited_by: names }) => names.join(' '),
    },
    {
      title: '',
      cell: ({ event_id: id }) => html`<a href="/refusals/${encodeURIComponent(id)}">Details</a>`,
      csv: ({ event_id: id }) => id,
    },
  ];
}

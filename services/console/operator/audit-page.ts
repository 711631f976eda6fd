import type { FastifyReply, FastifyRequest } from 'fastify';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { readInstant } from '../../../shared/domain/time/instant.ts';
import type { AuditEntry } from '../../../shared/domain/topics/audit-entry.ts';
import type { AuditPage, AuditTrail } from '../../../shared/tenants/audit-trail.ts';
import { nextFile, sendCsv } from '../browser/csv-file.ts';
import { field } from '../components/form.ts';
import { breakable, html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState, failedState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';
import { addressOf, linkWith } from '../components/links.ts';
import { fileRowsMax, table } from '../components/table.ts';
import type { Column, FileColumn } from '../components/table.ts';
import type { OperatorVisit } from './signed-in.ts';

export interface AuditSources {
  readonly auditTrail: AuditTrail;
}

const pageSize = 100;

/** Page of the audit trail: who did what, when and why, with the values before and after. */
export async function auditPage(
  { auditTrail }: AuditSources,
  { request, reply, parts }: OperatorVisit,
): Promise<PageContent | null> {
  const query = request.query as Readonly<Record<string, string | undefined>>;
  const filter = filterOf(query);
  if (query['format'] === 'csv') {
    const page = await auditTrail.read(filter, fileRowsMax, query['cursor']);
    // A file with the latest changes only would be taken for the whole trail.
    if (!page.complete)
      return { title: 'Audit', status: 503, body: failedState('The file of the audit trail') };
    return sendFile(reply, page, request);
  }
  const list = await parts.render('entries', 'The audit trail', async () =>
    listPart(await auditTrail.read(filter, pageSize, query['cursor']), request, filter),
  );
  const body = html`<div class="page-head">
      <div>
        <h1>Audit</h1>
        <p class="lead">
          Who did what, when and why: changes, deletions, sign-ins, links and ended sessions, without end.
        </p>
      </div>
    </div>
    <section class="card stack">${filterForm(query)} ${list}</section>`;
  return { title: 'Audit', body };
}

function listPart(
  { entries, nextCursor, complete }: AuditPage,
  request: FastifyRequest,
  filter: object,
): Html {
  const address = addressOf(request);
  const filtered = Object.keys(filter).length > 0;
  return html`${
    complete
      ? null
      : html`<p class="notice bad" role="alert">
          The usage log does not answer: only the latest changes of tenants are listed.
        </p>`
  }
  ${table({
    caption: 'Audit trail',
    rows: entries,
    empty: emptyState(
      filtered ? 'No entry fits' : 'No entries yet',
      filtered ? 'Remove a filter to see more.' : 'Every change and every sign-in shows here.',
    ),
    columns,
    // The file begins with the newest entry, whichever part of the list the page shows.
    address: { ...address, query: { ...address.query, cursor: '' } },
    csv: 'parts',
  })}
  ${
    nextCursor === null
      ? null
      : html`<p><a href="${linkWith(address, { cursor: nextCursor })}">Older entries</a></p>`
  }`;
}

function filterOf(query: Readonly<Record<string, string | undefined>>) {
  const text = (name: string, key: string): object => {
    const value = (query[name] ?? '').trim();
    return value === '' ? {} : { [key]: value };
  };
  const time = (name: string, key: string): object => {
    const value = (query[name] ?? '').trim();
    const atMs = readInstant(/^\d{4}-\d\d-\d\d$/.test(value) ? `${value}T00:00:00Z` : value);
    return atMs === null ? {} : { [key]: atMs };
  };
  return {
    ...text('search', 'search'),
    ...text('tenant', 'tenantId'),
    ...text('actor', 'actor'),
    ...text('action', 'action'),
    ...time('since', 'sinceMs'),
    ...time('until', 'untilMs'),
  };
}

function filterForm(query: Readonly<Record<string, string | undefined>>): Html {
  const value = (name: string): string => query[name] ?? '';
  return html`<form method="get" action="/operator/audit" role="search">
    <div class="row">
      ${field({ kind: 'search', name: 'search', label: 'Word', value: value('search'), lengthMax: 200 })}
      ${field({ name: 'tenant', label: 'Tenant', value: value('tenant'), lengthMax: 256 })}
      ${field({ name: 'actor', label: 'Who', value: value('actor'), lengthMax: 100 })}
      ${field({ name: 'action', label: 'Action', value: value('action'), lengthMax: 50, placeholder: 'block' })}
      ${field({ kind: 'date', name: 'since', label: 'From', value: value('since') })}
      ${field({ kind: 'date', name: 'until', label: 'Before', value: value('until') })}
    </div>
    <div class="actions"><button class="second" type="submit">Filter</button></div>
  </form>`;
}

const columns: readonly Column<AuditEntry>[] = [
  { title: 'When', kind: 'time', cell: ({ at }) => formatTime(at), csv: ({ at }) => at },
  { title: 'Who', cell: ({ actor }) => actor, csv: ({ actor }) => actor },
  {
    title: 'Tenant',
    cell: ({ tenant_id: id }) =>
      id === '' ? '' : html`<a href="/operator/tenants/${encodeURIComponent(id)}">${id}</a>`,
    csv: ({ tenant_id: id }) => id,
  },
  { title: 'Action', cell: ({ action }) => html`<code>${action}</code>`, csv: ({ action }) => action },
  { title: 'What', kind: 'sentence', cell: whatCell, csv: ({ detail }) => detail },
  { title: 'Why', cell: ({ reason }) => reason, csv: ({ reason }) => reason },
  { title: 'By', cell: ({ source }) => source, csv: ({ source }) => source },
];

function whatCell({ detail, before, after, facts = {} }: AuditEntry): Html {
  const changed = before !== undefined || after !== undefined;
  const more = Object.entries(facts);
  return html`${breakable(detail)}
  ${
    changed || more.length > 0
      ? html`<details class="fold small">
          <summary>${changed ? 'Before and after' : 'Details'}</summary>
          ${changed ? html`<pre tabindex="0"><code>${valuesText(before, after)}</code></pre>` : null}
          ${more.length === 0 ? null : html`<p class="soft">${more.map(([name, value]) => `${name}: ${value}`).join(' · ')}</p>`}
        </details>`
      : null
  }`;
}

/** Each changed field with its value before (`-`) and after (`+`). */
function valuesText(before: AuditEntry['before'] = {}, after: AuditEntry['after'] = {}): string {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .flatMap((name) => [
      ...(name in before ? [`- ${name}: ${JSON.stringify(before[name])}`] : []),
      ...(name in after ? [`+ ${name}: ${JSON.stringify(after[name])}`] : []),
    ])
    .join('\n');
}

/** Columns of the CSV file that the page has no room for. */
const fileColumns: readonly FileColumn<AuditEntry>[] = [
  { title: 'Before', csv: ({ before }) => (before === undefined ? '' : JSON.stringify(before)) },
  { title: 'After', csv: ({ after }) => (after === undefined ? '' : JSON.stringify(after)) },
];

function sendFile(reply: FastifyReply, { entries, nextCursor }: AuditPage, request: FastifyRequest): null {
  const next = { format: 'csv', cursor: nextCursor };
  sendCsv(reply, {
    ...{ name: 'audit', columns: [...columns, ...fileColumns], rows: entries },
    remaining: nextFile(nextCursor === null ? null : linkWith(addressOf(request), next)),
  });
  return null;
}

import type { FastifyRequest } from 'fastify';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { recentChanges } from '../../../shared/tenants/records.ts';
import { html } from '../components/html.ts';
import { emptyState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';
import { table } from '../components/table.ts';

export interface AuditSources {
  readonly directory: Pick<TenantDirectory, 'all'>;
}

const shownMax = 200;

export function auditPage({ directory }: AuditSources, request: FastifyRequest): PageContent {
  const search = ((request.query as { search?: string }).search ?? '').trim();
  const wanted = search.toLowerCase();
  const changes = recentChanges([...directory.all()], {})
    .filter((change) =>
      [change.tenant_id, change.actor, change.detail].some((text) => text.toLowerCase().includes(wanted)),
    )
    .slice(0, shownMax);
  const body = html`<div class="page-head">
      <div>
        <h1>Audit</h1>
        <p class="lead">
          Who changed what, when and why. Older changes, deletions and sign-ins are in the log.
        </p>
      </div>
    </div>
    <section class="card stack">
      <form class="search" method="get" action="/operator/audit" role="search">
        <label class="hidden" for="search">Search</label>
        <input
          id="search"
          name="search"
          type="search"
          value="${search}"
          placeholder="Tenant, person or word"
        />
        <button class="second" type="submit">Search</button>
      </form>
      ${table({
        caption: 'Changes',
        rows: changes,
        empty: emptyState(
          search === '' ? 'No changes yet' : 'No change fits',
          'Every change to a tenant shows here.',
        ),
        columns: [
          { title: 'When', kind: 'time', cell: ({ at }) => formatTime(at) },
          { title: 'Who', cell: ({ actor }) => actor },
          {
            title: 'Tenant',
            cell: ({ tenant_id: id }) =>
              html`<a href="/operator/tenants/${encodeURIComponent(id)}">${id}</a>`,
          },
          { title: 'What', cell: ({ detail }) => detail },
        ],
      })}
    </section>`;
  return { title: 'Audit', body };
}

import type { FastifyRequest } from 'fastify';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { recentChanges } from '../../../shared/tenants/records.ts';
import { html } from '../components/html.ts';
import { emptyState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';

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
      ${
        changes.length === 0
          ? emptyState(
              search === '' ? 'No changes yet' : 'No change fits',
              'Every change to a tenant shows here.',
            )
          : html`<div class="scroll">
              <table>
                <thead>
                  <tr>
                    <th scope="col">When</th>
                    <th scope="col">Who</th>
                    <th scope="col">Tenant</th>
                    <th scope="col">What</th>
                  </tr>
                </thead>
                <tbody>
                  ${changes.map(
                    (change) =>
                      html`<tr>
                        <td class="time">${formatTime(change.at)}</td>
                        <td>${change.actor}</td>
                        <td>
                          <a href="/operator/tenants/${encodeURIComponent(change.tenant_id)}"
                            >${change.tenant_id}</a
                          >
                        </td>
                        <td>${change.detail}</td>
                      </tr>`,
                  )}
                </tbody>
              </table>
            </div>`
      }
    </section>`;
  return { title: 'Audit', body };
}

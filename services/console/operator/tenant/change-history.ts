import { hasRole } from '../../../../shared/domain/operators/operator.ts';
import type { Role } from '../../../../shared/domain/operators/operator.ts';
import type { RecordChange, TenantRecord } from '../../../../shared/domain/tenant.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { changeOf, identifyHistory, undoState } from '../../../../shared/tenants/undo/undo-change.ts';
import type { IdentifiedHistory } from '../../../../shared/tenants/undo/undo-change.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';

/** What the list of changes needs to offer the undo of each. */
export interface ChangeHistory {
  readonly record: TenantRecord | null;
  readonly nowMs: number;
  readonly zone: string;
  readonly role: Role;
}

/** The change that the last action made, with its undo. Null if the history does not have the change. */
export function doneCard(changeId: string | undefined, shown: ChangeHistory): Html | null {
  const { record } = shown;
  const change = record === null || changeId === undefined ? null : changeOf(record, changeId);
  if (record === null || change === null) return null;
  return html`<section class="card done" aria-label="What was done">
    <p><strong>Done:</strong> ${change.detail}</p>
    ${undoPart(identifyHistory(record), change, shown)}
  </section>`;
}

/** The latest changes of the record, each with who made it, when, and its undo. */
export function changeHistory(tenantId: string, shown: ChangeHistory): Html {
  const { record, zone } = shown;
  const history = record === null ? null : identifyHistory(record);
  const changes = record?.history ?? [];
  return html`<section class="card" id="changes">
    <div class="card-head">
      <h2>History of changes</h2>
      <a href="/operator/audit?tenant=${encodeURIComponent(tenantId)}">All, with values before and after</a>
    </div>
    ${
      history === null || changes.length === 0
        ? emptyState('No changes yet', 'Every change shows here with who made it and why.')
        : html`<ul class="list">
            ${changes.map(
              (change) =>
                html`<li>
                  ${change.detail}<br /><span class="soft small"
                    >${change.actor}, ${formatTime(change.at, zone)}</span
                  >
                  ${change.internal_note === undefined ? null : html`<br /><span class="small">Internal note: ${change.internal_note}</span>`}
                  ${change.changes === undefined ? null : undoPart(history, change, shown)}
                </li>`,
            )}
          </ul>`
    }
  </section>`;
}

/** The button that undoes the change, or why it cannot be undone. */
function undoPart(
  history: IdentifiedHistory,
  change: RecordChange,
  { nowMs, zone, role }: ChangeHistory,
): Html | null {
  const { record, ids } = history;
  const state = undoState(history, change, nowMs);
  switch (state.kind) {
    case 'possible':
      return hasRole(role, state.role)
        ? html`<form
            class="plain"
            method="post"
            action="/operator/tenants/${encodeURIComponent(record.tenant_id)}/undo"
          >
            <input type="hidden" name="change" value="${ids.get(change)}" />
            <button class="quiet" type="submit" aria-label="Undo: ${change.detail}">Undo</button>
          </form>`
        : null;
    case 'undone':
      return html`<p class="soft small">Undone by ${state.by.actor}, ${formatTime(state.by.at, zone)}</p>`;
    case 'conflict':
    case 'final':
      return html`<p class="soft small">Cannot be undone. ${state.detail}</p>`;
  }
}

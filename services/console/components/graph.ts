import type { UsagePoint } from '../../../shared/clickhouse/queries/usage.ts';
import type { GraphSpan } from '../../../shared/tenants/usage-reader.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { count } from './format.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { emptyState, failedState } from './layout.ts';

/**
 * Graph of served and refused requests over time. `graph.js` draws it and fetches new data from `source`. The table
 * below has the same figures for screen readers and for browsers without scripts. If `points` is null, reading
 * failed.
 */
export function graph(points: readonly UsagePoint[] | null, span: GraphSpan, source: string): Html {
  if (points === null) return failedState('The graph');
  if (points.every((point) => point.requests === 0))
    return emptyState(
      `No requests in the last ${span === '24h' ? '24 hours' : '30 days'}`,
      'As soon as a request comes in, it shows here within seconds.',
    );
  return html`<div
      class="graph"
      data-graph="${source}"
      data-span="${span}"
      role="img"
      aria-label="Requests over the last ${span === '24h' ? '24 hours' : '30 days'}; the table below has the figures."
    ></div>
    <p class="legend" aria-hidden="true">
      <span class="key-allowed" data-key="allowed">Served</span>
      <span class="key-limited" data-key="limited">Refused</span>
      <span class="at" data-key="at"></span>
    </p>
    <details class="fold small">
      <summary>Show as a table</summary>
      <div class="graph-table" tabindex="0">
        <table>
          <thead>
            <tr>
              <th scope="col">From</th>
              <th scope="col" class="right">Requests</th>
              <th scope="col" class="right">Served</th>
              <th scope="col" class="right">Refused</th>
            </tr>
          </thead>
          <tbody>
            ${points
              .filter((point) => point.requests > 0)
              .toReversed()
              .map(
                (point) =>
                  html`<tr>
                    <td class="time">${formatTime(point.at)}</td>
                    <td class="right">${count(point.requests)}</td>
                    <td class="right">${count(point.requests - point.limited)}</td>
                    <td class="right">${count(point.limited)}</td>
                  </tr>`,
              )}
          </tbody>
        </table>
      </div>
    </details>`;
}

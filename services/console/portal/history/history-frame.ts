import type { Policy } from '../../../../shared/domain/policy.ts';
import { count, nounFor } from '../../../../shared/domain/text/counted.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../../shared/runtime/time/clock.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import type { PageContent } from '../../components/layout.ts';

export interface HistorySources {
  readonly reads: StoreReads;
  readonly clock: Clock;
  readonly policy: () => Policy;
}

/** The page around a history: of requests, or of a meter. */
export function historyFrame(spans: Html, filter: Html, content: Html): PageContent {
  const body = html`<div class="page-head">
      <div>
        <h1>History</h1>
        <p class="lead">Usage over time. The address of this page keeps the choice.</p>
      </div>
      ${spans}
    </div>
    <section class="card stack">${filter}</section>
    <section class="card" aria-labelledby="graph">${content}</section>`;
  return { title: 'History', body, charts: true };
}

/**
 * A sentence about the groups that a table omits. `cut`: which groups the table has, if the history is cut; its CSV file is cut too
 * then, and may lack them. Null: it is not cut.
 */
export function omittedText(groups: number, countMax: number, cut: string | null): string {
  const omitted = groups - countMax;
  return cut === null
    ? `${count(omitted)} more ${nounFor(omitted, 'is', 'are')} in the CSV file.`
    : `These are the ${count(countMax)} ${cut}. To see others, choose a shorter time, or a filter.`;
}

/** Shown if a history has more rows than a page or file may have. */
export const cutText = 'The latest rows are missing: choose a shorter time, or a filter, to see them.';

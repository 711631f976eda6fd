import { changedLines, diffLines } from '../../../../shared/policy-changes/line-diff.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';

/** The text of a policy file with line numbers. Lines with a violation are marked. */
export function numberedText(text: string, violations: readonly string[] = []): Html {
  const marked = new Set(violations.map(lineOf));
  const lines = text.replace(/\n$/, '').split('\n');
  return html`<pre class="policy-text" tabindex="0"><code>${lines.map(
    (line, index) =>
      html`<span class="line${marked.has(index + 1) ? ' removed' : ''}"
        ><span class="number">${String(index + 1).padStart(4)}</span> ${line}
      </span>`,
  )}</code></pre>`;
}

/** A violation begins with `file:line:column: `. */
function lineOf(violation: string): number {
  return Number(/:(\d+):\d+: /.exec(violation)?.[1] ?? 0);
}

const marks = { same: ' ', added: '+', removed: '−' } as const;

/** The changed lines of two texts, with the lines around them. */
export function comparison(before: string, after: string): Html {
  const lines = changedLines(diffLines(before, after));
  if (lines.length === 0) return emptyState('No difference', 'Both texts are equal.');
  return html`<pre class="policy-text" tabindex="0"><code>${lines.map((line) =>
    line === null
      ? html`<span class="line"> … </span>`
      : html`<span class="line ${line.kind}"
          >${marks[line.kind]} <span class="number">${String(line.number).padStart(4)}</span> ${line.text}
        </span>`,
  )}</code></pre>`;
}

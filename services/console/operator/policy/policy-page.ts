import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { PolicyRevision } from '../../../../shared/clickhouse/queries/policy/revisions.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import type { PolicyTools } from '../../../../shared/policy-changes/open-policy-tools.ts';
import { shadowDays, shadowNames } from '../../../../shared/policy-changes/shadow-results.ts';
import { policyTextLengthMax } from '../../../../shared/policy-changes/policy-editor.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../../shared/runtime/time/clock.ts';
import { createParts } from '../../browser/parts.ts';
import type { Parts } from '../../browser/parts.ts';
import { field, formError } from '../../components/form.ts';
import type { RefusedForm } from '../../components/form.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState, failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { table } from '../../components/table.ts';
import type { Column } from '../../components/table.ts';
import { forOperator, mayUse } from '../signed-in.ts';
import { backtestState } from './backtest-result.ts';
import { comparison, numberedText } from './policy-text.ts';
import { shadowSection } from './shadow-section.ts';

export interface PolicySources {
  readonly policyTools: PolicyTools;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

/** What the last form of the page was about. */
export interface Tried {
  /** The proposed text. */
  readonly text: string;
  readonly violations: readonly string[];
  readonly refused: RefusedForm | null;
}

export const policyHref = '/operator/policy';
const historyMax = 50;
const refreshMs = 1_000;

/** Ranges of a backtest, by the value of the field. */
export const ranges = [
  ['1h', 'last hour'],
  ['24h', 'last 24 hours'],
  ['7d', 'last 7 days'],
  ['30d', 'last 30 days'],
] as const;

/** Page of the policy: the text in force, its history, a proposed policy and its backtest. */
export function registerPolicyPage(app: FastifyInstance, sources: PolicySources): void {
  app.get(
    policyHref,
    forOperator(policyHref, ({ request, parts }) => policyPage(sources, request, parts, null)),
  );
}

/** `tried` is null unless the page answers a form. */
export async function policyPage(
  sources: PolicySources,
  request: FastifyRequest,
  parts: Parts | null,
  tried: Tried | null,
): Promise<PageContent> {
  const { editor } = sources.policyTools;
  const { policy, text, file } = editor.inForce();
  const pageParts = parts ?? createParts(request, { url: policyHref });
  const backtest = await backtestCard(sources, request, pageParts);
  const history = await pageParts.render('history', 'History', () => historyTable(sources));
  const shadow = await shadowPart(sources, request, pageParts);
  const compared = await revisionCard(sources, request, pageParts);
  // A refreshed part needs no page around it.
  if (pageParts.wanted !== null) return { title: 'Policy', body: null };
  const body = html`<div class="page-head">
      <div>
        <h1>Policy</h1>
        <p class="lead">Revision ${policy.revision} is in force. It is the file ${file}.</p>
      </div>
    </div>
    ${refusedCard(editor.refused())}${compared}
    ${mayUse(request, 'support') ? tryCard(tried, tried?.text ?? sources.policyTools.backtests.current()?.text ?? text) : null}
    ${tried === null ? null : triedCard(tried, text)}${backtest}
    <section class="card" aria-labelledby="shadow">
      <h2 class="card-head" id="shadow">Shadow mode, last ${shadowDays} days</h2>
      ${shadow}
    </section>
    <section class="card" aria-labelledby="history">
      <h2 class="card-head" id="history">History</h2>
      ${history}
    </section>
    <section class="card" aria-labelledby="in-force">
      <h2 class="card-head" id="in-force">Text in force</h2>
      ${numberedText(text)}
    </section>`;
  return { title: 'Policy', body };
}

function refusedCard(refused: ReturnType<PolicyTools['editor']['refused']>): Html | null {
  if (refused === null) return null;
  return html`<section class="card" aria-labelledby="refused">
    <h2 class="card-head" id="refused">The file has an edit that was refused</h2>
    <div class="notice bad" role="alert">
      <p>The policy before it stays in force.</p>
      <ul>
        ${refused.violations.map((violation) => html`<li>${violation}</li>`)}
      </ul>
    </div>
    <details class="fold">
      <summary>Text of the edit</summary>
      ${numberedText(refused.text, refused.violations)}
    </details>
  </section>`;
}

function tryCard(tried: Tried | null, text: string): Html {
  const refused = tried?.refused ?? null;
  return html`<section class="card" aria-labelledby="try">
    <h2 class="card-head" id="try">Try a policy</h2>
    <p class="soft">
      Change the text, compare it, and see which recorded requests it would have refused. Nothing takes effect
      before it is put live.
    </p>
    ${formError(refused)}
    <form class="stack" method="post" action="${policyHref}/check">
      ${field({ kind: 'area', name: 'text', label: 'Proposed policy', mono: true, value: text, required: true, lengthMax: policyTextLengthMax }, refused)}
      ${field({ kind: 'select', name: 'range', label: 'Recorded requests of the', options: ranges, value: '24h' }, refused)}
      ${field({ name: 'tenant', label: 'Tenant', hint: 'Empty: all tenants.', lengthMax: 256 }, refused)}
      <div class="actions">
        <button type="submit" class="quiet">Check and compare</button>
        <button type="submit" formaction="${policyHref}/backtest">Backtest</button>
      </div>
    </form>
  </section>`;
}

function triedCard({ text, violations }: Tried, inForce: string): Html {
  return html`<section class="card" aria-labelledby="compared">
    <h2 class="card-head" id="compared">Proposed policy and the policy in force</h2>
    ${
      violations.length === 0
        ? comparison(inForce, text)
        : html`<div class="notice bad" role="alert">
              <ul>
                ${violations.map((violation) => html`<li>${violation}</li>`)}
              </ul>
            </div>
            ${numberedText(text, violations)}`
    }
  </section>`;
}

async function backtestCard(
  { policyTools }: PolicySources,
  request: FastifyRequest,
  parts: Parts,
): Promise<Html | null> {
  const state = policyTools.backtests.current();
  if (state === null) return null;
  const make = (): Promise<Html> => {
    const current = policyTools.backtests.current() ?? state;
    return Promise.resolve(backtestState(current, mayUse(request, 'support')));
  };
  const running = state.state === 'running' || parts.wanted === undefined;
  const shown = await parts.render('backtest', 'Backtest', make, running ? { refreshMs } : {});
  const { policy, text } = policyTools.editor.inForce();
  const isProposed = state.request.policy.revision !== policy.revision;
  return html`<section class="card" aria-labelledby="backtest">
      <h2 class="card-head" id="backtest">Backtest</h2>
      ${shown}
      ${state.state === 'running' ? html`<p><a href="${policyHref}">Show the result with its next steps</a></p>` : null}
    </section>
    ${
      state.state === 'finished' && isProposed && mayUse(request, 'admin')
        ? await liveCard(policyTools, { text: state.text, inForce: text })
        : null
    }`;
}

async function liveCard(
  { editor }: PolicyTools,
  { text, inForce }: { text: string; inForce: string },
): Promise<Html> {
  const { policy, file } = editor.inForce();
  const form = html`<form method="post" action="${policyHref}/live">
    <input type="hidden" name="text" value="${text}" />
    <input type="hidden" name="expected" value="${policy.revision}" />
    <button type="submit" class="danger">Put live…</button>
  </form>`;
  return html`<section class="card" aria-labelledby="live">
    <h2 class="card-head" id="live">Put this policy live</h2>
    ${comparison(inForce, text)}
    ${
      (await editor.isWritable())
        ? form
        : emptyState(
            'The policy file cannot be written from here',
            `Change ${file} where it is deployed from, for example in the ConfigMap; it takes effect without a restart. The setting TOLLGATE_POLICY_WRITABLE=true allows this page to write the file.`,
          )
    }
  </section>`;
}

const historyColumns: readonly Column<PolicyRevision>[] = [
  { title: 'Time', kind: 'time', cell: ({ at }) => formatTime(at) },
  {
    title: 'Revision',
    kind: 'head',
    cell: ({ revision }) => html`<a href="${policyHref}?revision=${revision}">${revision}</a>`,
  },
  {
    title: 'Result',
    cell: ({ outcome, violations }) =>
      outcome === 'accepted' ? 'in force from then' : html`<span class="bad">refused: ${violations}</span>`,
  },
  { title: 'By', cell: ({ actor }) => (actor === '' ? 'edit of the file' : actor) },
  { title: 'Reason', cell: ({ reason }) => reason },
];

async function historyTable({ policyTools, reads }: PolicySources): Promise<Html> {
  return table({
    caption: 'History of the policy',
    columns: historyColumns,
    rows: await reads.orNull(policyTools.revisions.list(historyMax + 1)),
    first: { countMax: historyMax, sentence: `The ${historyMax} latest revisions are shown.` },
    empty: emptyState('None yet', 'Revisions show here within seconds.'),
  });
}

/** The results of shadow mode. They are counted from the events of all tenants, so they are read on request only. */
async function shadowPart(
  { policyTools, reads }: PolicySources,
  request: FastifyRequest,
  parts: Parts,
): Promise<Html> {
  const wanted = (request.query as { shadow?: string }).shadow !== undefined;
  if (!wanted && shadowNames(policyTools.editor.inForce().policy).size > 0)
    return html`<p><a href="${policyHref}?shadow=1#shadow">Show what would have been refused</a></p>`;
  return await parts.render('shadow', 'Results of shadow mode', async () => {
    return shadowSection(await reads.orNull(policyTools.shadowResults()));
  });
}

/** The comparison of a revision of the history with the text in force, if the query names one. */
async function revisionCard(
  sources: PolicySources,
  request: FastifyRequest,
  parts: Parts,
): Promise<Html | null> {
  const { revision } = request.query as { revision?: string };
  if (revision === undefined) return null;
  const compared = await parts.render('revision', 'The revision', () => comparedRevision(sources, revision));
  return html`<section class="card" aria-labelledby="revision">
    <h2 class="card-head" id="revision">From revision ${revision} to the policy in force</h2>
    ${compared}
  </section>`;
}

async function comparedRevision({ policyTools, reads }: PolicySources, revision: string): Promise<Html> {
  const read = await reads.orNull(policyTools.revisions.find(revision).then((found) => ({ found })));
  if (read === null) return failedState('This revision');
  return read.found === null
    ? emptyState('No such revision', 'The history of the policy does not have it.')
    : comparison(read.found.text, policyTools.editor.inForce().text);
}

import type { Policy } from '../../../../shared/domain/policy.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { windowName } from '../../../../shared/domain/time/format-duration.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../../shared/runtime/time/clock.ts';
import { limitsOfTenant } from '../../../../shared/tenants/limits.ts';
import { readSeenPlan } from '../../now/seen-plan.ts';
import type { TenantLimit, TenantLimits } from '../../../../shared/tenants/limits.ts';
import { minorAmountText } from '../../components/format.ts';
import { requestLink } from '../../components/links.ts';
import { html, pathCode } from '../../components/html.ts';
import type { Html, HtmlValue } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { table } from '../../components/table.ts';
import type { Column } from '../../components/table.ts';
import type { Visit, Visitor } from '../visitor.ts';
import { exampleRefusal } from './example-refusal.ts';
import { samplesFor } from './guide-samples.ts';

export interface GuideSources {
  readonly policy: () => Policy;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

const dayMs = 86_400_000;
/** Decision id of an example that is not a real refusal. */
const exampleId = '019aa4c2-6f00-7abc-8def-0123456789ab';

/** Page that explains what a 429 means and how a client handles it, with the tenant's limits and code to copy. */
export async function guidePage(
  sources: GuideSources,
  visitor: Visitor,
  { parts }: Visit,
): Promise<PageContent> {
  const { links } = sources.policy();
  const own = await parts.render('own', 'Your limits', () => ownPart(sources, visitor));
  const body = html`<div class="page-head">
      <div>
        <h1>Handling 429 in your client</h1>
        <p class="lead">
          A 429 says: not now, but at a time that it names. A client that waits exactly that long succeeds.
        </p>
      </div>
    </div>
    <section class="card stack">
      <h2>Three rules</h2>
      <ol>
        <li>
          <strong>Wait as long as <code>Retry-After</code> says</strong> (whole seconds), then try the same
          request again. It is exact, not a guess.
        </li>
        <li>
          <strong>Slow down before it happens.</strong> Every response carries
          <code>X-RateLimit-Remaining</code> and, for each window, <code>RateLimit</code>. When little
          remains, pause.
        </li>
        <li>
          <strong>Do not retry at once, and not without a bound.</strong> A refused request uses up nothing,
          but it does not help either.
        </li>
      </ol>
    </section>
    ${own}
    <section class="card stack">
      <h2>What every response says</h2>
      ${table({ caption: 'Response headers', columns: headerColumns, rows: headerRows, empty: html`` })}
    </section>
    ${codeSections(samplePath(sources.policy()))}
    <p><a href="${links.documentation}" rel="noreferrer">Full documentation</a></p>`;
  return { title: 'Handling 429', body };
}

/** The limits of the tenant as the headers name them, and a 429 with its values. */
async function ownPart({ policy, reads, clock }: GuideSources, visitor: Visitor): Promise<Html> {
  const { tenantId, record, usage, zone } = visitor;
  const nowMs = clock.now();
  const [{ seenPlan }, refusals] = await Promise.all([
    readSeenPlan({ usage, reads }, visitor, nowMs),
    reads.orNull(usage.refusals(tenantId, { startMs: nowMs - 7 * dayMs, endMs: nowMs }, 1)),
  ]);
  const limits = limitsOfTenant(policy(), record, seenPlan, nowMs);
  const [refusal] = refusals ?? [];
  const latest = {
    limit: refusal?.limited_by[0] ?? '',
    id: refusal?.event_id ?? exampleId,
    atMs: refusal === undefined ? nowMs : Date.parse(refusal.time),
  };
  const example = exampleRefusal({ tenantId, limits, links: policy().links, latest });
  return html`<section class="card stack">
      <h2>Your limits in the headers</h2>
      ${limitNamesTable(limits, policy())}
    </section>
    <section class="card stack">
      <h2>${refusal === undefined ? 'A 429 of yours in full' : 'Your latest 429'}</h2>
      ${
        refusal === undefined
          ? html`<p class="soft">Nothing was refused in the last seven days; yours would read like this.</p>`
          : html`<p class="soft">
              ${refusal.method} ${refusal.path}, ${formatTime(refusal.time, zone)}.
              <a href="/refusals/${encodeURIComponent(refusal.event_id)}">Why it was refused</a>. The waiting
              time and what is left of other limits are examples.
            </p>`
      }
      ${
        example === null
          ? emptyState('No limit of requests', 'No limit of your plan counts requests.')
          : sample(
              'http',
              `HTTP/1.1 429 Too Many Requests\n${example.headers.map(([name, value]) => `${name}: ${value}`).join('\n')}\n\n${JSON.stringify(example.body, null, 2)}`,
            )
      }
      <p class="soft small">
        <code>violated-policies</code> names the limits; <code>decision_id</code> leads to the explanation
        under <a href="/refusals">Refusals</a>. If <code>Retry-After</code> is missing, waiting does not help:
        the request needs more than the limit.
      </p>
    </section>`;
}

function limitNamesTable(limits: TenantLimits, policy: Policy): Html {
  const columns: readonly Column<TenantLimit>[] = [
    { title: 'In the headers', kind: 'head', cell: ({ limit }) => html`<code>"${limit.name}"</code>` },
    {
      title: 'Allows',
      kind: 'number',
      cell: ({ limit }) =>
        `${minorAmountText(policy, limit.of, limit.limit)} a ${limit.period ?? windowName(limit.windowMs)}`,
    },
    {
      title: 'Applies to',
      cell: ({ limit }) => (limit.route === null ? 'all calls' : pathCode(limit.route)),
    },
    { title: '', cell: ({ limit }) => requestLink(limit) },
  ];
  const rows = [...limits.shared, ...limits.individual];
  const empty = emptyState('No limits', 'Your plan has no limits.');
  return table({ caption: 'Your limits', columns, rows, empty });
}

/** Links to the samples, which are sections, so that they work without a script. */
function codeSections(path: string): Html {
  const samples = samplesFor(path);
  return html`<section class="card stack" aria-labelledby="code">
    <h2 id="code">Code to copy</h2>
    <nav class="segments" aria-label="Languages">
      ${samples.map(({ id, name }) => html`<a href="#code-${id}">${name}</a>`)}
    </nav>
    ${samples.map(
      ({ id, name, text, language, code }) =>
        html`<div class="stack" id="code-${id}">
          <h3>${name}</h3>
          <p class="soft">${text}</p>
          ${sample(language, code)}
        </div>`,
    )}
  </section>`;
}

/** Path for the samples: of the first route for reading whose path has no placeholder. */
function samplePath({ routes }: Policy): string {
  const paths = routes
    .map(({ match }) => match.split(' '))
    .filter(([method, path = '']) => method === 'GET' && !path.includes('*'));
  return paths[0]?.[1] ?? '/';
}

interface HeaderRow {
  readonly name: string;
  readonly meaning: HtmlValue;
}

const headerColumns: readonly Column<HeaderRow>[] = [
  { title: 'Header', kind: 'head', cell: ({ name }) => html`<code>${name}</code>` },
  { title: 'Meaning', cell: ({ meaning }) => meaning },
];

const headerRows: readonly HeaderRow[] = [
  { name: 'X-RateLimit-Limit', meaning: 'The limit closest to being used up.' },
  { name: 'X-RateLimit-Remaining', meaning: 'Requests that remain of it.' },
  { name: 'X-RateLimit-Reset', meaning: 'Unix seconds at which all of it is available again.' },
  {
    name: 'RateLimit',
    meaning: html`All windows: <code>"minute";r=12;t=7</code> is 12 left, all available again in 7 s.`,
  },
  { name: 'Retry-After', meaning: 'On a 429 only: seconds until the request would pass.' },
];

function sample(language: string, code: string): Html {
  return html`<div class="sample">
    <pre tabindex="0" data-language="${language}"><code>${code}</code></pre>
  </div>`;
}

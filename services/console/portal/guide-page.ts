import type { Policy } from '../../../shared/domain/policy.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import type { PageContent } from '../components/layout.ts';
import { samples } from './guide-samples.ts';
import type { Visitor } from './visitor.ts';

export interface GuideSources {
  readonly policy: () => Policy;
}

/** Page that explains what a 429 means and how a client handles it, with code samples to copy. */
export function guidePage({ policy }: GuideSources, { tenantId, record }: Visitor): PageContent {
  const { links, defaultPlan } = policy();
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
    <section class="card stack">
      <h2>What every response says</h2>
      <div class="scroll" tabindex="0" role="region" aria-label="Response headers">
        <table>
          <thead>
            <tr>
              <th scope="col">Header</th>
              <th scope="col">Meaning</th>
            </tr>
          </thead>
          <tbody>
            <tr>
              <td><code>X-RateLimit-Limit</code></td>
              <td>The limit closest to being used up.</td>
            </tr>
            <tr>
              <td><code>X-RateLimit-Remaining</code></td>
              <td>Requests that remain of it.</td>
            </tr>
            <tr>
              <td><code>X-RateLimit-Reset</code></td>
              <td>Unix seconds at which all of it is available again.</td>
            </tr>
            <tr>
              <td><code>RateLimit</code></td>
              <td>All windows: <code>"minute";r=12;t=7</code> is 12 left, all available again in 7 s.</td>
            </tr>
            <tr>
              <td><code>Retry-After</code></td>
              <td>On a 429 only: seconds until the request would pass.</td>
            </tr>
          </tbody>
        </table>
      </div>
    </section>
    <section class="card stack">
      <h2>A 429 in full</h2>
      ${sample('http', exampleOf(tenantId, record?.plan ?? defaultPlan, links))}
      <p class="soft small">
        <code>violated-policies</code> names the limits; <code>decision_id</code> leads to the explanation
        under <a href="/refusals">Refusals</a>. If <code>Retry-After</code> is missing, waiting does not help:
        the request needs more than the limit.
      </p>
    </section>
    ${samples.map(
      ({ language, name, code }) =>
        html`<section class="card stack">
          <h2>${name}</h2>
          ${sample(language, code)}
        </section>`,
    )}
    <p><a href="${links.documentation}" rel="noreferrer">Full documentation</a></p>`;
  return { title: 'Handling 429', body };
}

function sample(language: string, code: string): Html {
  return html`<div class="sample">
    <pre tabindex="0" data-language="${language}"><code>${code}</code></pre>
  </div>`;
}

function exampleOf(
  tenantId: string,
  plan: string,
  links: { documentation: string; upgrade: string },
): string {
  const answer = {
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Too many requests',
    status: 429,
    detail: '10 requests per 1 minute allowed for this user on POST /agent/chat; try again in 7 s',
    'violated-policies': ['chat'],
    limit: 10,
    window_seconds: 60,
    remaining: 0,
    retry_after_seconds: 7,
    tenant_id: tenantId,
    plan,
    documentation_url: links.documentation,
    upgrade_url: links.upgrade,
    decision_id: '019aa4c2-6f00-7abc-8def-0123456789ab',
  };
  return `HTTP/1.1 429 Too Many Requests
Content-Type: application/problem+json
Retry-After: 7
X-RateLimit-Limit: 10
X-RateLimit-Remaining: 0

${JSON.stringify(answer, null, 2)}`;
}

import type { ConsoleParts } from '../console.ts';
import { span, stamp } from '../pages/format.ts';
import { html } from '../pages/html.ts';
import { failedState } from '../pages/layout.ts';
import type { PageContent } from '../portal/visitor.ts';
import { readOrNull } from '../read-or-null.ts';

const freshMs = 10_000;

/** How far behind the truth is, and what does not answer. The Grafana dashboards say why. */
export async function pipelinePage(parts: ConsoleParts): Promise<PageContent> {
  const nowMs = parts.clock.now();
  const through = await readOrNull(
    parts,
    parts.usage.completeThrough().then((at) => ({ at })),
  );
  const redisAway = parts.limiter.state().serversUnavailable > 0;
  const behindMs = through === null || through.at === null ? null : nowMs - Date.parse(through.at);
  const body = html`<div class="page-head">
      <div>
        <h1>Pipeline</h1>
        <p class="lead">From a request to its row in every total.</p>
      </div>
    </div>
    <section class="card">
      <h2 class="card-head">Freshness</h2>
      ${
        through === null
          ? failedState('Freshness')
          : behindMs === null
            ? html`<p>Nothing has been recorded yet. Send a first request.</p>`
            : html`<p>
                <span class="badge ${behindMs <= freshMs ? 'good' : 'warn'}">${span(behindMs)} behind</span>
                Every event that Kafka had before ${stamp(through.at ?? '')} is in all totals.
                ${behindMs <= freshMs ? null : html`If this grows, see the runbooks on lag and freshness.`}
              </p>`
      }
    </section>
    <section class="card">
      <h2 class="card-head">Stores</h2>
      <dl class="facts">
        <dt>Redis</dt>
        <dd>${badge(!redisAway, 'answers', 'does not answer: gateways decide by themselves')}</dd>
        <dt>ClickHouse</dt>
        <dd>
          ${badge(through !== null, 'answers', 'does not answer: totals and history are missing, nothing is lost')}
        </dd>
        <dt>Tenant records</dt>
        <dd>
          ${badge(parts.directory.ready(), `${parts.directory.size()} read from Kafka`, 'not read from Kafka yet')}
        </dd>
        <dt>Policy</dt>
        <dd>revision <code>${parts.policy().revision}</code></dd>
      </dl>
    </section>`;
  return { title: 'Pipeline', body };
}

function badge(good: boolean, yes: string, no: string): ReturnType<typeof html> {
  return html`<span class="badge ${good ? 'good' : 'bad'}">${good ? yes : no}</span>`;
}

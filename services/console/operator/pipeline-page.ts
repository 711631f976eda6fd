import type { Policy } from '../../../shared/domain/policy.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { durationForReading } from '../../../shared/domain/time/format-duration.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { readFreshness } from '../components/freshness.ts';
import type { FreshnessSources } from '../components/freshness.ts';
import type { Parts } from '../browser/parts.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { failedState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';

export interface PipelineSources extends FreshnessSources {
  readonly limiter: Pick<Limiter, 'state'>;
  readonly directory: Pick<TenantDirectory, 'ready' | 'size'>;
  readonly policy: () => Policy;
  readonly clock: Clock;
}

const freshMs = 10_000;

/**
 * Page of the pipeline: the delay of stored events, and the stores that do not answer. The cause is on the Grafana
 * dashboards.
 */
export async function pipelinePage(sources: PipelineSources, parts: Parts): Promise<PageContent> {
  const state = await parts.render('pipeline', 'The state of the pipeline', () => pipelineState(sources));
  const body = html`<div class="page-head">
      <div>
        <h1>Pipeline</h1>
        <p class="lead">From a request to its row in every total.</p>
      </div>
    </div>
    ${state}`;
  return { title: 'Pipeline', body };
}

async function pipelineState(sources: PipelineSources): Promise<Html> {
  const { limiter, directory, policy, clock } = sources;
  const nowMs = clock.now();
  const { complete_through: through, freshness_known: known } = await readFreshness(sources);
  const redisAway = limiter.state().serversUnavailable > 0;
  const behindMs = through === null ? null : nowMs - Date.parse(through);
  return html`<section class="card">
      <h2 class="card-head">Freshness</h2>
      ${
        !known
          ? failedState('Freshness')
          : behindMs === null
            ? html`<p>Nothing has been recorded yet. Send a first request.</p>`
            : html`<p>
                <span class="badge ${behindMs <= freshMs ? 'good' : 'warn'}"
                  >${durationForReading(behindMs)} behind</span
                >
                Every event that Kafka had before ${formatTime(through ?? '')} is in all totals.
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
          ${badge(known, 'answers', 'does not answer: totals and history are missing, nothing is lost')}
        </dd>
        <dt>Tenant records</dt>
        <dd>${badge(directory.ready(), `${directory.size()} read from Kafka`, 'not read from Kafka yet')}</dd>
        <dt>Policy</dt>
        <dd>revision <code>${policy().revision}</code></dd>
      </dl>
    </section>`;
}

function badge(good: boolean, yes: string, no: string): Html {
  return html`<span class="badge ${good ? 'good' : 'bad'}">${good ? yes : no}</span>`;
}

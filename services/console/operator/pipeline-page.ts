import type { GatewayReport, LossAuditReport } from '../../../shared/domain/operators/process-report.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { durationForReading } from '../../../shared/domain/time/format-duration.ts';
import { count } from '../../../shared/domain/text/counted.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { ProcessReports } from '../../../shared/redis/process-reports.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { readFreshness } from '../components/freshness.ts';
import type { FreshnessSources } from '../components/freshness.ts';
import type { Parts } from '../browser/parts.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState, failedState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';
import { table } from '../components/table.ts';
import type { Column } from '../components/table.ts';

export interface PipelineSources extends FreshnessSources {
  readonly limiter: Pick<Limiter, 'state'>;
  readonly directory: Pick<TenantDirectory, 'ready' | 'size'>;
  readonly reports: Pick<ProcessReports, 'list'>;
  readonly policy: () => Policy;
  readonly clock: Clock;
}

const freshMs = 10_000;

/**
 * Page of the pipeline: the delay of stored events, the stores that do not answer, the gateways and the last loss audit. The
 * cause is on the Grafana dashboards.
 */
export async function pipelinePage(sources: PipelineSources, parts: Parts): Promise<PageContent> {
  const [state, processes] = await Promise.all([
    parts.render('pipeline', 'The state of the pipeline', () => pipelineState(sources)),
    parts.render('processes', 'Gateways and loss audits', () => processState(sources)),
  ]);
  const body = html`<div class="page-head">
      <div>
        <h1>Pipeline</h1>
        <p class="lead">From a request to its row in every total.</p>
      </div>
    </div>
    ${state}${processes}`;
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

async function processState({ reports, reads, clock }: PipelineSources): Promise<Html> {
  const found = await reads.orNull(reports.list());
  const gateways = found?.filter((report): report is GatewayReport => report.kind === 'gateway') ?? null;
  const audit = found?.find((report): report is LossAuditReport => report.kind === 'loss-audit') ?? null;
  return html`<section class="card">
      <h2 class="card-head">Gateways</h2>
      ${table({
        caption: 'The state of the gateways',
        columns: gatewayColumns(clock.now()),
        rows: gateways?.toSorted((one, other) => (one.name < other.name ? -1 : 1)) ?? null,
        empty: emptyState('None', 'No gateway has reported within an hour.'),
      })}
    </section>
    <section class="card">
      <h2 class="card-head">Last loss audit</h2>
      ${found === null ? failedState('The last loss audit') : audit === null ? html`<p class="soft">None within a week.</p>` : auditFacts(audit)}
    </section>`;
}

function gatewayColumns(nowMs: number): readonly Column<GatewayReport>[] {
  return [
    { title: 'Gateway', kind: 'head', cell: ({ name }) => name },
    {
      title: 'Last report',
      cell: ({ at }) => `${durationForReading(nowMs - Date.parse(at))} ago`,
    },
    {
      title: 'Redis',
      cell: ({ redis_unavailable: servers }) => badge(servers === 0, 'in use', `${servers} not in use`),
    },
    {
      title: 'Last without Redis',
      kind: 'time',
      cell: ({ without_redis_at: at }) => (at === null ? 'never' : formatTime(at)),
    },
    {
      title: 'Spool',
      cell: ({ spool_failure: failure }) => badge(failure === null, 'on disk', failure ?? ''),
    },
    {
      title: 'Policy',
      cell: ({ policy, refused_edit: edit }) =>
        edit === null
          ? html`<code>${policy}</code>`
          : html`<code>${policy}</code> ${badge(false, '', 'edit refused')}`,
    },
  ];
}

function auditFacts({
  at,
  is_failed: isFailed,
  is_cut: isCut,
  lost_events: events,
  units_ahead: units,
  disagreeing_days: days,
  spools_set_back: spools,
}: LossAuditReport): Html {
  if (isFailed)
    return html`<p>${badge(false, '', 'failed')} at ${formatTime(at)}. A store did not answer.</p>`;
  return html`<dl class="facts">
    <dt>Time</dt>
    <dd>${formatTime(at)}</dd>
    <dt>Lost events</dt>
    <dd>${badge(events === 0, 'none', `${isCut ? 'at least ' : ''}${count(events)}`)}</dd>
    <dt>Units that only Redis counted</dt>
    <dd>${badge(units === 0, 'none', units === null ? 'not compared' : count(units))}</dd>
    <dt>Days with totals that do not agree</dt>
    <dd>${badge(days === 0, 'none', count(days))}</dd>
    <dt>Spools that were set back</dt>
    <dd>${badge(spools === 0, 'none', count(spools))}</dd>
  </dl>`;
}

function badge(good: boolean, yes: string, no: string): Html {
  return html`<span class="badge ${good ? 'good' : 'bad'}">${good ? yes : no}</span>`;
}

import type { GatewayReport, LossAuditReport } from '../../../../shared/domain/operators/process-report.ts';
import type { DeadLetterService } from '../../../../shared/kafka/dead-letters/dead-letter-service.ts';
import type { TenantDirectory } from '../../../../shared/kafka/tables/tenant-directory.ts';
import type { PolicyTools } from '../../../../shared/policy-changes/open-policy-tools.ts';
import { count } from '../../../../shared/domain/text/counted.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import type { ProcessReports } from '../../../../shared/redis/process-reports.ts';
import { readOnce } from '../../../../shared/runtime/read-once.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { Installation } from '../../../../shared/tenants/list/installation.ts';
import { readFullestLimits, sharesMax } from '../../../../shared/tenants/list/limit-shares.ts';
import type { FullestLimit, LimitShareSources } from '../../../../shared/tenants/list/limit-shares.ts';
import { listTenants, readFigures } from '../../../../shared/tenants/list/list.ts';
import type { ListedTenant } from '../../../../shared/tenants/list/list.ts';
import type { UsageReader } from '../../../../shared/tenants/usage-reader.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import type { OperatorVisit } from '../signed-in.ts';
import { attentionNow, attentionOfLetters, attentionOfUsage, busiestOf } from './attention.ts';
import type { AttentionItem } from './attention.ts';
import {
  attentionOfGateways,
  attentionOfLosses,
  attentionOfPipeline,
  attentionOfPolicy,
  attentionOfTargets,
  attentionWithoutGateways,
} from './attention-of-processes.ts';

export interface StartSources extends LimitShareSources {
  readonly limiter: Pick<Limiter, 'check' | 'state'>;
  readonly directory: Pick<TenantDirectory, 'all' | 'get'>;
  readonly usage: UsageReader;
  readonly deadLetters: Pick<DeadLetterService, 'list'>;
  readonly installation: Installation;
  readonly reports: Pick<ProcessReports, 'list'>;
  readonly policyTools: Pick<PolicyTools, 'editor'>;
  readonly reads: StoreReads;
}

const lettersMax = 50;
const targetsSinceMs = 7 * 86_400_000;
const rebuiltSinceMs = 86_400_000;
/** An installation without requests for this time has no gateway whose reports could be missing. */
const servedSinceMs = 30 * 86_400_000;

/** A part of the page. It is rendered alone, so that a store that is slow or away does not delay or hide the other parts. */
interface StartPart {
  readonly id: string;
  readonly title: string;
  readonly make: (sources: StartSources) => Promise<Html>;
}

const startParts: readonly StartPart[] = [
  { id: 'usage', title: 'Usage', make: usagePart },
  { id: 'tenants', title: 'Tenants and limits', make: tenantsPart },
  { id: 'gateways', title: 'Gateways and policy', make: gatewaysPart },
  { id: 'losses', title: 'Losses', make: lossesPart },
  { id: 'pipeline', title: 'Pipeline', make: pipelinePart },
  { id: 'letters', title: 'Dead letters', make: lettersPart },
  { id: 'targets', title: 'Notifications', make: targetsPart },
];

/** First page of an operator: what needs attention. */
export async function startPage(sources: StartSources, { parts }: OperatorVisit): Promise<PageContent> {
  const reports = { list: readOnce(() => sources.reports.list()) };
  const ofPage = { ...sources, reports };
  const contents = await Promise.all(
    startParts.map(({ id, title, make }) => parts.render(id, title, () => make(ofPage))),
  );
  const body = html`<div class="page-head">
      <div>
        <h1>Start</h1>
        <p class="lead">What needs attention.</p>
      </div>
    </div>
    ${startParts.map(
      ({ title }, index) =>
        html`<section class="card stack">
          <h2>${title}</h2>
          ${contents[index]}
        </section>`,
    )}`;
  return { title: 'Start', body };
}

async function usagePart(sources: StartSources): Promise<Html> {
  const { directory, policy, clock } = sources;
  const figures = await readFigures(sources);
  if (figures === null) return failedState('Usage of the tenants');
  const tenants = listTenants([...directory.all()], figures, policy(), clock.now());
  const active = busiestOf(tenants);
  const fullest = await readFullestLimits(sources, active);
  return usageState(tenants, fullest, active.length > sharesMax);
}

/** `isCut`: more tenants have requests than limits were read. */
export function usageState(
  tenants: readonly ListedTenant[],
  fullest: ReadonlyMap<string, FullestLimit>,
  isCut: boolean,
): Html {
  const items = attentionOfUsage(tenants, fullest);
  if ([...fullest.values()].includes(undefined))
    return html`${items.length === 0 ? null : list(items, '')}${failedState('Live usage')}`;
  const cut = isCut
    ? html`<p class="soft small">
        Only the limits of the ${count(sharesMax)} tenants with the most requests today were read.
      </p>`
    : null;
  return html`${list(items, 'No tenant is near a limit or refused unusually often.')}${cut}`;
}

function tenantsPart({ directory, limiter, clock }: StartSources): Promise<Html> {
  const redisUnavailable = limiter.state().serversUnavailable > 0;
  const items = attentionNow([...directory.all()], redisUnavailable, clock.now());
  return Promise.resolve(list(items, 'No request waits, and no tenant is blocked.'));
}

/** An edit of the policy that this process refused is shown also without Redis. */
async function gatewaysPart(sources: StartSources): Promise<Html> {
  const { reports, reads, policyTools, installation, clock } = sources;
  const { editor } = policyTools;
  const violations = editor.refused()?.violations ?? null;
  const found = await reads.orNull(reports.list());
  if (found === null) {
    const edits = attentionOfPolicy(violations, []);
    return html`${edits.length === 0 ? null : list(edits, '')}${failedState('The state of the gateways')}`;
  }
  const gateways = found.filter((report): report is GatewayReport => report.kind === 'gateway');
  const states =
    gateways.length === 0
      ? attentionWithoutGateways(await reads.orNull(installation.servedSince(clock.now() - servedSinceMs)))
      : attentionOfGateways(gateways, editor.inForce().policy.revision, clock.now());
  return list(
    [...attentionOfPolicy(violations, gateways), ...states],
    'All gateways report, decide with Redis, and apply the policy in force.',
  );
}

async function lossesPart({ reports, reads, clock }: StartSources): Promise<Html> {
  const found = await reads.orNull(reports.list());
  if (found === null) return failedState('The result of the loss audits');
  const audits = found.filter((report): report is LossAuditReport => report.kind !== 'gateway');
  const [last = null] = audits.filter(({ kind }) => kind === 'loss-audit');
  const [loss = null] = audits.filter(({ kind }) => kind === 'last-loss');
  return list(
    attentionOfLosses({ last, loss }, clock.now()),
    'The loss audits of the last week found no loss.',
  );
}

async function pipelinePart({ usage, installation, reads, clock }: StartSources): Promise<Html> {
  const nowMs = clock.now();
  const read = Promise.all([usage.completeThrough(), installation.latestRebuild(nowMs - rebuiltSinceMs)]);
  const found = await reads.orNull(read);
  if (found === null) return failedState('The state of the pipeline');
  const [through, rebuiltAt] = found;
  return list(
    attentionOfPipeline({ through, rebuiltAt }, nowMs),
    'Totals follow the requests, and no counters of Redis were rebuilt within a day.',
  );
}

async function lettersPart({ deadLetters, reads }: StartSources): Promise<Html> {
  const found = await reads.orNull(deadLetters.list(lettersMax + 1));
  if (found === null) return failedState('The list of dead letters');
  const items = attentionOfLetters(Math.min(found.length, lettersMax), found.length > lettersMax);
  return list(items, 'Every message could be read.');
}

async function targetsPart({ installation, reads, clock }: StartSources): Promise<Html> {
  const targets = await reads.orNull(installation.failingTargets(clock.now() - targetsSinceMs));
  if (targets === null) return failedState('The deliveries of notifications');
  return list(attentionOfTargets(targets), 'Every target accepted its last notification.');
}

function list(items: readonly AttentionItem[], none: string): Html {
  if (items.length === 0) return html`<p class="soft">${none}</p>`;
  return html`<ul class="list">
    ${items.map(
      ({ tone, sentence, href }) =>
        html`<li>
          ${tone === 'plain' ? null : html`<span class="badge ${tone}">${tone === 'bad' ? 'urgent' : 'soon'}</span>`}
          <span class="break">${sentence}</span> <a href="${href}">Show</a>
        </li>`,
    )}
  </ul>`;
}

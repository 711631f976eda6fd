import type { DeadLetterService } from '../../../../shared/kafka/dead-letters/dead-letter-service.ts';
import type { TenantDirectory } from '../../../../shared/kafka/tables/tenant-directory.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import { readFullestLimits } from '../../../../shared/tenants/list/limit-shares.ts';
import type { LimitShareSources } from '../../../../shared/tenants/list/limit-shares.ts';
import { listTenants, readFigures } from '../../../../shared/tenants/list/list.ts';
import type { UsageReader } from '../../../../shared/tenants/usage-reader.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import type { OperatorVisit } from '../signed-in.ts';
import { attentionNow, attentionOfLetters, attentionOfUsage } from './attention.ts';
import type { AttentionItem } from './attention.ts';

export interface StartSources extends LimitShareSources {
  readonly limiter: Pick<Limiter, 'check' | 'state'>;
  readonly directory: Pick<TenantDirectory, 'all' | 'get'>;
  readonly usage: UsageReader;
  readonly deadLetters: Pick<DeadLetterService, 'list'>;
  readonly reads: StoreReads;
}

const lettersMax = 50;

/**
 * First page of an operator: what needs attention. Records and Redis are in the page; usage and dead letters are parts, so that
 * a slow store does not delay the others.
 */
export async function startPage(sources: StartSources, { parts }: OperatorVisit): Promise<PageContent> {
  const { directory, limiter, clock, deadLetters, reads } = sources;
  const redisUnavailable = limiter.state().serversUnavailable > 0;
  const [usage, letters] = await Promise.all([
    parts.render('usage', 'Usage', () => usagePart(sources)),
    parts.render('letters', 'Dead letters', async () => {
      const found = await reads.orNull(deadLetters.list(lettersMax + 1));
      return found === null
        ? failedState('The list of dead letters')
        : list(
            attentionOfLetters(Math.min(found.length, lettersMax), found.length > lettersMax),
            'Every message could be read.',
          );
    }),
  ]);
  const now = attentionNow([...directory.all()], redisUnavailable, clock.now());
  const body = html`<div class="page-head">
      <div>
        <h1>Start</h1>
        <p class="lead">What needs attention.</p>
      </div>
    </div>
    <section class="card stack">
      <h2>Usage</h2>
      ${usage}
    </section>
    <section class="card stack">
      <h2>Tenants and limits</h2>
      ${list(now, 'Nothing here needs attention.')}
    </section>
    <section class="card stack">
      <h2>Pipeline</h2>
      ${letters}
    </section>`;
  return { title: 'Start', body };
}

async function usagePart(sources: StartSources): Promise<Html> {
  const { directory, policy, clock } = sources;
  const figures = await readFigures(sources);
  if (figures === null) return failedState('Usage of the tenants');
  const tenants = listTenants([...directory.all()], figures, policy(), clock.now());
  const active = tenants.filter(({ requests_today: today }) => (today ?? 0) > 0);
  const fullest = await readFullestLimits(sources, active);
  return list(attentionOfUsage(tenants, fullest), 'No tenant is near a limit or refused unusually often.');
}

function list(items: readonly AttentionItem[], none: string): Html {
  if (items.length === 0) return html`<p class="soft">${none}</p>`;
  return html`<ul class="list">
    ${items.map(
      ({ tone, sentence, href }) =>
        html`<li>
          ${tone === 'plain' ? null : html`<span class="badge ${tone}">${tone === 'bad' ? 'urgent' : 'soon'}</span>`}
          ${sentence} <a href="${href}">Show</a>
        </li>`,
    )}
  </ul>`;
}

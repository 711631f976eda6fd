import type { FastifyInstance, FastifyRequest } from 'fastify';
import type {
  DeadLetterService,
  ShownDeadLetter,
} from '../../../shared/kafka/dead-letters/dead-letter-service.ts';
import type { AuditLog } from '../../../shared/kafka/audit-log.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import { counted } from '../../../shared/domain/text/counted.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState, failedState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';
import { actionForOperator, mayUse } from './signed-in.ts';

export interface DeadLetterOptions {
  readonly deadLetters: DeadLetterService;
  readonly reads: StoreReads;
  readonly audit: Pick<AuditLog, 'append'>;
}

const shownMax = 50;
const notices = { sent: 'replayed', missing: 'letter-gone', incomplete: 'letter-cut' } as const;

/**
 * Page of the messages that could not be read: it shows the reason for each, and a button that sends the message
 * again after the cause is removed.
 */
export async function deadLettersPage(
  { deadLetters, reads }: DeadLetterOptions,
  request: FastifyRequest,
): Promise<PageContent> {
  const letters = await reads.orNull(deadLetters.list(shownMax + 1));
  const body = html`<div class="page-head">
      <div>
        <h1>Dead letters</h1>
        <p class="lead">
          Messages that could not be read, newest first. Sending one again is safe: an event that did arrive
          is recognised and counted once.
        </p>
      </div>
      ${
        mayUse(request, 'admin') && letters !== null && letters.length > 0
          ? html`<p><a href="/operator/dead-letters/replay">Send all again…</a></p>`
          : null
      }
    </div>
    <section class="card">
      ${letters === null ? failedState('The list of dead letters') : list(letters, mayUse(request, 'admin'))}
    </section>`;
  return { title: 'Dead letters', body };
}

function list(letters: readonly ShownDeadLetter[], mayReplay: boolean): Html {
  if (letters.length === 0) return emptyState('None', 'Every message could be read.');
  return html`<ul class="list">
      ${letters.slice(0, shownMax).map(
        (letter) =>
          html`<li>
            <strong>${letter.reason}</strong>
            ${
              mayReplay
                ? html`<form class="plain" method="post" action="/operator/dead-letters/${letter.id}/replay">
                    <button class="quiet" type="submit">Send again</button>
                  </form>`
                : null
            }
            <br /><span class="soft small"
              >${formatTime(letter.at)} · from ${letter.from} · ${counted(letter.bytes, 'byte')} ·
              ${letter.id}</span
            >
            <details class="fold small">
              <summary>Content</summary>
              <pre tabindex="0"><code>${letter.text}</code></pre>
            </details>
          </li>`,
      )}
    </ul>
    ${letters.length > shownMax ? html`<p class="soft small">The ${shownMax} newest are shown.</p>` : null}`;
}

export function registerReplay(app: FastifyInstance, { deadLetters, audit }: DeadLetterOptions): void {
  app.post(
    '/operator/dead-letters/:letterId/replay',
    actionForOperator('admin', async (name, request, reply) => {
      const { letterId } = request.params as { letterId: string };
      const detail = `Dead letter ${letterId} sent again`;
      await audit.append({ actor: name, action: 'dead-letter-replay', detail });
      const replay = await deadLetters.replay(letterId);
      return reply.redirect(`/operator/dead-letters?done=${notices[replay]}`, 303);
    }),
  );
}

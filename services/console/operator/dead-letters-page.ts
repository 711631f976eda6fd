import type { FastifyInstance } from 'fastify';
import type { ConsoleParts } from '../console.ts';
import { count, stamp } from '../pages/format.ts';
import { html } from '../pages/html.ts';
import type { Html } from '../pages/html.ts';
import { emptyState, failedState } from '../pages/layout.ts';
import type { DeadLetter } from '../dead-letter-desk.ts';
import type { PageContent } from '../portal/visitor.ts';
import { readOrNull } from '../read-or-null.ts';
import { actionForOperator } from './signed-in.ts';

const shownMax = 50;
const notices = { sent: 'replayed', missing: 'letter-gone', incomplete: 'letter-cut' } as const;

/** What could not be read, why, and a button to send it again once the reason is gone. */
export async function deadLettersPage(parts: ConsoleParts): Promise<PageContent> {
  const letters = await readOrNull(parts, parts.deadLetters.list(shownMax));
  const body = html`<div class="page-head">
      <div>
        <h1>Dead letters</h1>
        <p class="lead">
          Messages that could not be read, newest first. Sending one again is safe: an event that did arrive
          is recognised and counted once.
        </p>
      </div>
    </div>
    <section class="card">
      ${letters === null ? failedState('The list of dead letters') : list(letters)}
    </section>`;
  return { title: 'Dead letters', body };
}

function list(letters: readonly DeadLetter[]): Html {
  if (letters.length === 0) return emptyState('None', 'Every message could be read.');
  return html`<ul class="list">
    ${letters.map(
      (letter) =>
        html`<li>
          <strong>${letter.reason}</strong>
          <form class="plain" method="post" action="/operator/dead-letters/${letter.id}/replay">
            <button class="quiet" type="submit">Send again</button>
          </form>
          <br /><span class="soft small"
            >${stamp(letter.at)} · from ${letter.from} · ${count(letter.bytes)} bytes · ${letter.id}</span
          >
          <details class="fold small">
            <summary>Content</summary>
            <pre tabindex="0"><code>${letter.text}</code></pre>
          </details>
        </li>`,
    )}
  </ul>`;
}

export function registerReplay(app: FastifyInstance, parts: ConsoleParts): void {
  app.post(
    '/operator/dead-letters/:letterId/replay',
    actionForOperator(async (name, request, reply) => {
      const { letterId } = request.params as { letterId: string };
      const replay = await parts.deadLetters.replay(letterId);
      parts.logger.info(
        { audit: true, actor: name, action: 'dead-letter-replay', letter_id: letterId, replay },
        'replay',
      );
      return reply.redirect(`/operator/dead-letters?done=${notices[replay]}`, 303);
    }),
  );
}

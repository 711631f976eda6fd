import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { listedMax } from '../../../shared/sessions/session-list.ts';
import type { SignInClient } from '../../../shared/sessions/sessions.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import type { Column } from '../components/table.ts';

/** What the lists of sessions of tenants and of operators have in common. */
interface SessionRow extends SignInClient {
  readonly startedAtMs: number;
  readonly expiresAtMs: number;
  readonly usedAtMs: number;
}

/** The columns of both lists of sessions: since when, until when. */
export function sessionColumns(zone?: string): readonly Column<SessionRow>[] {
  return [
    { title: 'Since', kind: 'time', cell: ({ startedAtMs }) => formatTime(startedAtMs, zone) },
    { title: 'Last used', kind: 'time', cell: ({ usedAtMs }) => formatTime(usedAtMs, zone) },
    { title: 'Ends', kind: 'time', cell: ({ expiresAtMs }) => formatTime(expiresAtMs, zone) },
  ];
}

/** Browser and network of the sign-in. */
export function clientText({ agent, network }: SignInClient): string {
  return agent === '' ? 'unknown browser' : `${agent}, ${network}`;
}

/** A button that ends sessions or links. `what` names them for screen readers; `hidden` is a further field of the form. */
export function endForm(path: string, label: string, what: string, hidden: Html | null = null): Html {
  return html`<form class="plain" method="post" action="${path}">
    ${hidden}
    <button class="quiet" type="submit">${label}<span class="hidden"> ${what}</span></button>
  </form>`;
}

/** Hint below a list that has no room for further entries. */
export function fullHint(what: 'sessions' | 'links'): Html {
  return html`<p class="soft small">
    At most ${listedMax} ${what} are listed. Others may be live too, and are listed with their next use after
    one of these has ended.
  </p>`;
}

import type { NotificationSettings } from '../../../shared/domain/tenant.ts';
import { targetsIn } from '../../../shared/tenants/notification-targets.ts';
import type { Target } from '../../../shared/tenants/notification-targets.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState } from '../components/layout.ts';
import { table } from '../components/table.ts';

export const channelNames: Readonly<Record<string, string>> = {
  webhook: 'Webhook',
  slack: 'Slack',
  email: 'E-mail',
};

interface TargetCells {
  readonly address: (target: Target) => Html | string;
  /** Null: the reader may change and test no target. */
  readonly actions: ((target: Target) => Html) | null;
  /** Sentence of the table without targets. */
  readonly none: string;
}

/** The targets of a tenant's notifications. */
export function targetTable(
  settings: NotificationSettings | undefined,
  { address, actions, none }: TargetCells,
): Html {
  return table<Target>({
    caption: 'Targets of notifications',
    columns: [
      { title: 'Kind', cell: ({ channel }) => channelNames[channel] ?? channel },
      { title: 'Address', cell: address },
      ...(actions === null ? [] : [{ title: 'Actions', cell: actions }]),
    ],
    rows: targetsIn(settings),
    empty: emptyState('No target yet', none),
  });
}

/** Form that sends a test message to the target. */
export function testForm({ id, shown }: Target, action: string): Html {
  return html`<form class="plain" method="post" action="${action}">
    <input type="hidden" name="target" value="${id}" />
    <button class="quiet" type="submit" aria-label="Send test to ${shown}">Send test</button>
  </form>`;
}

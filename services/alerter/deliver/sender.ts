import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { Provider } from '../../../shared/runtime/provider.ts';
import { wordingOf } from './wording.ts';
import type { Wording } from './wording.ts';

/** The provider that tenants see as the sender of notifications. */
export interface Sender extends Provider {
  /** Address of the portal; null: notifications have no link. */
  readonly portal: string | null;
}

/** The text of a notification of this sender: its name in the title, and the lines that follow the text. */
export interface SentWording extends Wording {
  readonly footer: readonly string[];
}

export function sentWording(alert: AlertEvent, { name, support, portal }: Sender): SentWording {
  const { title, lines } = wordingOf(alert);
  return {
    title: `${name}: ${title}`,
    lines,
    footer: [
      ...(portal === null ? [] : [`Usage and settings: ${portal}`]),
      ...(support === null ? [] : [`Support: ${support.replace(/^mailto:/, '')}`]),
    ],
  };
}

/** The sender in the body of a webhook. Absent fields are unknown. */
export function senderFields({ name, support, portal }: Sender): object {
  return {
    name,
    ...(portal === null ? {} : { portal_url: portal }),
    ...(support === null ? {} : { support_url: support }),
  };
}

/** The sender of mail. An address without a name, `alerts@example.com`, gets the name of the provider. */
export function mailSender(from: string, { name }: Sender): string | { name: string; address: string } {
  return from.includes('<') ? from : { name, address: from };
}

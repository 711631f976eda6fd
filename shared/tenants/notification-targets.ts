import { hash } from 'node:crypto';
import type { NotificationSettings } from '../domain/tenant.ts';
import type { Channel } from '../domain/topics/delivery.ts';

/** A target of notifications. `address` is a URL, an e-mail address, or empty for the log. */
export interface Target {
  readonly id: string;
  readonly channel: Channel;
  readonly address: string;
  /** For webhooks only: the secrets to sign with, the newest first. */
  readonly secrets: readonly string[];
  /** The address in the form that users may see. */
  readonly shown: string;
}

/** The targets in the settings of a tenant, without repetitions. */
export function targetsIn(settings: NotificationSettings | undefined): Target[] {
  const targets = [
    ...(settings?.webhooks ?? []).map(({ url, secrets }) => targetAt('webhook', url, secrets)),
    ...(settings?.slack ?? []).map((url) => targetAt('slack', url, [])),
    ...(settings?.emails ?? []).map((address) => targetAt('email', address, [])),
  ];
  return [...new Map(targets.map((target) => [target.id, target])).values()];
}

function targetAt(channel: Channel, address: string, secrets: readonly string[]): Target {
  const id = `${channel}-${hash('sha256', address, 'hex').slice(0, 16)}`;
  return {
    id,
    channel,
    address,
    secrets,
    shown: channel === 'email' ? address : shownUrl(channel, address, id),
  };
}

/**
 * Hides credentials in a URL: the path of a Slack URL is a credential, and a query or user info may contain one. The
 * end of the target's id is shown, so that users can distinguish their targets.
 */
function shownUrl(channel: Channel, address: string, id: string): string {
  if (!URL.canParse(address)) return `unreadable (${id.slice(-6)})`;
  const { origin, pathname, search } = new URL(address);
  if (channel === 'slack') return `${origin}/… (${id.slice(-6)})`;
  return search === '' ? `${origin}${pathname}` : `${origin}${pathname}?… (${id.slice(-6)})`;
}

import { hash } from 'node:crypto';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { NotificationSettings } from '../../../shared/domain/tenant.ts';
import type { Channel } from '../../../shared/domain/topics/delivery.ts';

/** A target of an alert. `address` is a URL, an e-mail address, or empty for the log. */
export interface Target {
  readonly id: string;
  readonly channel: Channel;
  readonly address: string;
  /** For webhooks only: the secrets to sign with, the newest first. */
  readonly secrets: readonly string[];
  /** The address in the form that users may see. */
  readonly shown: string;
}

const logTarget: Target = { id: 'log', channel: 'log', address: '', secrets: [], shown: 'log' };

/**
 * Returns the targets of an alert: the service's own log first, then the targets of the tenant. An alert of kind
 * `rearmed` has no targets, because tenants are not notified of it. A test alert with `only_target` has only that
 * target.
 */
export function targetsOf(settings: NotificationSettings | undefined, alert: AlertEvent): Target[] {
  if (alert.kind === 'rearmed') return [];
  const targets = [
    logTarget,
    ...(settings?.webhooks ?? []).map(({ url, secrets }) => targetAt('webhook', url, secrets)),
    ...(settings?.slack ?? []).map((url) => targetAt('slack', url, [])),
    ...(settings?.emails ?? []).map((address) => targetAt('email', address, [])),
  ];
  const unique = new Map(targets.map((target) => [target.id, target]));
  const only = alert.only_target;
  return [...unique.values()].filter(
    ({ id, address }) => only === undefined || only === id || only === address,
  );
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

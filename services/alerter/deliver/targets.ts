import { hash } from 'node:crypto';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { NotificationSettings } from '../../../shared/domain/tenant.ts';
import type { Channel } from './delivery.ts';

/** Where one alert goes. `address` is a URL, a mail address, or empty for the log. */
export interface Target {
  readonly id: string;
  readonly channel: Channel;
  readonly address: string;
  /** Webhooks only: all secrets that may sign, the newest first. */
  readonly secrets: readonly string[];
  /** As people may read it. */
  readonly shown: string;
}

const logTarget: Target = { id: 'log', channel: 'log', address: '', secrets: [], shown: 'log' };

/** Every target of a tenant, the service's own log first; none of what nobody is told. A test may be meant for one of them. */
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

/** Slack's path is the credential, a query or user info may hold one; the end of the id tells two of them apart. */
function shownUrl(channel: Channel, address: string, id: string): string {
  if (!URL.canParse(address)) return `unreadable (${id.slice(-6)})`;
  const { origin, pathname, search } = new URL(address);
  if (channel === 'slack') return `${origin}/… (${id.slice(-6)})`;
  return search === '' ? `${origin}${pathname}` : `${origin}${pathname}?… (${id.slice(-6)})`;
}

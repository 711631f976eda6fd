import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { AttemptOutcome } from './delivery.ts';
import type { Post } from './post.ts';
import type { Target } from '../../../shared/tenants/notification-targets.ts';
import { sentWording } from './sender.ts';
import type { Sender } from './sender.ts';

/** Posts to an incoming webhook of Slack, or of a service with its format (Mattermost, Rocket.Chat, Discord's `/slack`). */
export function postSlack(
  post: Post,
  sender: Sender,
  target: Target,
  alert: AlertEvent,
): Promise<AttemptOutcome> {
  const { title, lines, footer } = sentWording(alert, sender);
  const text = [`*${escaped(title)}*`, ...[...lines, ...footer].map(escaped)].join('\n');
  return post(target.address, {}, JSON.stringify({ text }));
}

/** Slack interprets `<…>` and `&` as markup, and a tenant id may contain these characters. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

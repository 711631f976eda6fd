import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { AttemptOutcome } from './delivery.ts';
import type { Post } from './post.ts';
import type { Target } from './targets.ts';
import { wordingOf } from './wording.ts';

/** An incoming webhook of Slack, or of what speaks its format (Mattermost, Rocket.Chat, Discord's `/slack`). */
export function postSlack(post: Post, target: Target, alert: AlertEvent): Promise<AttemptOutcome> {
  const { title, lines } = wordingOf(alert);
  const text = [`*${escaped(title)}*`, ...lines.map(escaped)].join('\n');
  return post(target.address, {}, JSON.stringify({ text }));
}

/** Slack reads `<…>` and `&` as markup; a tenant id may hold them. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

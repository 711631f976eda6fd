import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { AttemptOutcome } from './delivery.ts';
import type { Post } from './post.ts';
import { signatureOf } from './signature.ts';
import type { Target } from './targets.ts';

/**
 * One attempt, as Standard Webhooks asks for it: the id is the alert's and the same in every attempt, so that a receiver
 * knows a repeat; time and signature are of this attempt, so that none goes stale while it waits.
 */
export function postWebhook(
  post: Post,
  clock: Clock,
  target: Target,
  alert: AlertEvent,
): Promise<AttemptOutcome> {
  if (target.secrets.length === 0)
    return Promise.resolve({ kind: 'refused', error: 'has no secret to sign with' });
  const timestampSeconds = Math.floor(clock.now() / 1000);
  const body = JSON.stringify({ type: `tollgate.alert.${alert.kind}`, timestamp: alert.at, data: alert });
  return post(
    target.address,
    {
      'webhook-id': alert.id,
      'webhook-timestamp': String(timestampSeconds),
      'webhook-signature': signatureOf(target.secrets, alert.id, timestampSeconds, body),
    },
    body,
  );
}

import { createHmac } from 'node:crypto';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { AttemptOutcome } from './delivery.ts';
import type { Post } from './post.ts';
import type { Target } from '../../../shared/tenants/notification-targets.ts';
import { senderFields } from './sender.ts';
import type { Sender } from './sender.ts';

/**
 * Makes one attempt in the format of Standard Webhooks. The message id is the alert's id in every attempt, so that a
 * receiver recognises a repetition. Timestamp and signature are new in each attempt, so that receivers accept a late
 * retry.
 */
export function postWebhook(
  { post, clock, sender }: { readonly post: Post; readonly clock: Clock; readonly sender: Sender },
  target: Target,
  alert: AlertEvent,
): Promise<AttemptOutcome> {
  if (target.secrets.length === 0)
    return Promise.resolve({ kind: 'refused', error: 'the target has no secret to sign with' });
  const timestampSeconds = Math.floor(clock.now() / 1000);
  const body = JSON.stringify({
    type: `tollgate.alert.${alert.kind}`,
    timestamp: alert.at,
    sender: senderFields(sender),
    data: alert,
  });
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

/**
 * Returns the `webhook-signature` header of Standard Webhooks: one signature for each secret, separated by spaces. A
 * signature is `v1,` followed by the base64 of the HMAC-SHA256 of `id.timestamp.body`. While a tenant changes its
 * secret there are two secrets, and a receiver with either secret accepts the message.
 */
export function signatureOf(
  secrets: readonly string[],
  id: string,
  timestampSeconds: number,
  body: string,
): string {
  return secrets
    .map((secret) => {
      const signed = createHmac('sha256', keyOf(secret)).update(`${id}.${timestampSeconds}.${body}`);
      return `v1,${signed.digest('base64')}`;
    })
    .join(' ');
}

/** A secret is `whsec_` followed by base64. */
function keyOf(secret: string): Buffer {
  return Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
}

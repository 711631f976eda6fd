import { createHmac } from 'node:crypto';

/**
 * The `webhook-signature` of Standard Webhooks: HMAC-SHA256 of `id.timestamp.body` in base64 behind `v1,`, one for
 * each secret, separated by spaces. While a secret is being changed both the new and the old one are given, and a
 * receiver that knows either accepts.
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

/** Secrets are `whsec_` and base64. */
function keyOf(secret: string): Buffer {
  return Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
}

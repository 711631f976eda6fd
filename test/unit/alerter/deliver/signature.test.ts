import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { signatureOf } from '../../../../services/alerter/deliver/webhook.ts';

const secretOf = (bytes: Uint8Array): string => `whsec_${Buffer.from(bytes).toString('base64')}`;
const nowSeconds = Math.floor(Date.now() / 1000);

function headersOf(secrets: readonly string[], id: string, body: string): Record<string, string> {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(nowSeconds),
    'webhook-signature': signatureOf(secrets, id, nowSeconds, body),
  };
}

test('an independent library of Standard Webhooks accepts the signature, for any secret and body', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 24, maxLength: 64 }),
      fc.uuid(),
      fc.dictionary(fc.string(), fc.string({ unit: 'grapheme' })),
      (bytes, id, data) => {
        const [secret, body] = [secretOf(bytes), JSON.stringify(data)];
        expect(new Webhook(secret).verify(body, headersOf([secret], id, body))).toEqual(JSON.parse(body));
      },
    ),
  );
});

test('while a secret is changed, a receiver with the new or the old one accepts', () => {
  const [older, newer, other] = [1, 2, 3].map(() => secretOf(randomBytes(32))) as [string, string, string];
  const headers = headersOf([newer, older], 'id', '{}');
  expect(headers['webhook-signature']?.split(' ')).toHaveLength(2);
  for (const secret of [older, newer]) expect(new Webhook(secret).verify('{}', headers)).toEqual({});
  expect(() => new Webhook(other).verify('{}', headers)).toThrow();
});

test('a changed body, id or time is refused', () => {
  const secret = secretOf(randomBytes(32));
  const headers = headersOf([secret], 'id', '{}');
  expect(() => new Webhook(secret).verify('{ }', headers)).toThrow();
  expect(() => new Webhook(secret).verify('{}', { ...headers, 'webhook-id': 'other' })).toThrow();
  expect(() =>
    new Webhook(secret).verify('{}', { ...headers, 'webhook-timestamp': String(nowSeconds - 1) }),
  ).toThrow();
});

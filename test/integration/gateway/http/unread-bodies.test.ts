import { afterAll, beforeAll, expect, test } from 'vitest';
import { uniqueName } from '../../../support/servers.ts';
import { as, startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';
import { openRaw } from './raw-connection.ts';

const plan = '{ limits: [], api: { event_bytes: { limit: 1048576, window: 1m } } }';
let gateway: TestGateway;
beforeAll(async () => void (gateway = await startGateway({ policy: { plans: `\n  free: ${plan}` } })));
afterAll(() => gateway.close());

const type = 'application/cloudevents-batch+json';

const chunkedFields = 'Transfer-Encoding: chunked';

/** Sends the body to POST /v1/events and returns the status. Without `body`, sends the header section only. */
async function publish(
  { authorization = '' }: Record<string, string>,
  fields: string,
  body: string | null,
): Promise<number> {
  const connection = await openRaw(gateway.apiUrl);
  const common = `Host: h\r\nAuthorization: ${authorization}\r\nContent-Type: ${type}\r\n`;
  connection.write(`POST /v1/events HTTP/1.1\r\n${common}${fields}\r\n\r\n${body ?? ''}`);
  try {
    return (await connection.response()).status;
  } finally {
    connection.destroy();
  }
}

function chunked(bytes: number): string {
  return `${bytes.toString(16)}\r\n${'x'.repeat(bytes)}\r\n0\r\n\r\n`;
}

test.each([
  ['chunked', chunkedFields],
  ['compressed', 'Content-Encoding: gzip\r\nContent-Length: 1000'],
])(
  'F6: after a refusal for bytes, a %s body is refused unread, and a body with a Content-Length is read',
  async (_, fields) => {
    const headers = await as(uniqueName('acme'));
    expect(await publish(headers, chunkedFields, chunked(1_000_000))).toBe(400);
    expect(await publish(headers, chunkedFields, chunked(300_000))).toBe(429);
    expect(await publish(headers, fields, null)).toBe(429);
    expect(await publish(headers, 'Content-Length: 4', 'none')).toBe(400);
  },
);

test('F6: a refusal for bytes does not affect chunked bodies of other callers', async () => {
  const [flood, calm] = [await as(uniqueName('flood')), await as(uniqueName('calm'))];
  expect(await publish(flood, chunkedFields, chunked(1_000_000))).toBe(400);
  expect(await publish(flood, chunkedFields, chunked(300_000))).toBe(429);
  expect(await publish(flood, chunkedFields, null)).toBe(429);
  expect(await publish(calm, chunkedFields, chunked(300_000))).toBe(400);
});

import type { ServerResponse } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { as, limitHeadersOf, startGateway, startUpstream } from '../gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway.ts';

let upstream: TestUpstream;
let gateway: TestGateway;
let stream: ServerResponse | null = null;

beforeAll(async () => {
  upstream = await startUpstream((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    stream = response;
  });
  gateway = await startGateway({ policy: {}, upstream: upstream.url });
});

afterAll(async () => {
  stream?.destroy();
  await gateway.close();
  await upstream.close();
});

test('F4: no byte of an event stream waits for the next one: the headers arrive before any event, and each event alone', async () => {
  const response = await fetch(`${gateway.proxyUrl}/events`, { headers: await as(uniqueName('acme')) });
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  expect(limitHeadersOf(response)).toMatchObject({ limit: 5, remaining: 4 });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  for (const text of [
    ': comment\n',
    'data: 1\n\n',
    'd',
    'ata: 2\n',
    '\n',
    `data: ${'x'.repeat(10_000)}\n\n`,
  ]) {
    stream?.write(text);
    let read = '';
    while (read.length < text.length) read += new TextDecoder().decode((await reader.read()).value);
    expect(read).toBe(text);
  }
  await reader.cancel();
  await eventually(() => gateway.requests().length === 1 && stream?.destroyed);
});

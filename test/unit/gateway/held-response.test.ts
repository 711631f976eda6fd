import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { holdResponse } from '../../../services/gateway/entrypoints/middleware/held-response.ts';

const big = Buffer.alloc(300_000, 'x');

/** What applications do with a response. The client must not see a difference between held and plain responses. */
const handlers: Readonly<Record<string, RequestListener>> = {
  'end with text': (_request, response) => void response.end('text'),
  'end with text of an encoding': (_request, response) => void response.end('dGV4dA==', 'base64'),
  'end with bytes': (_request, response) => void response.end(Buffer.from('bytes')),
  'end without a body': (_request, response) => void response.end(),
  'status 204': (_request, response) => {
    response.statusCode = 204;
    response.end();
  },
  'status 304 with its fields': (_request, response) => {
    response.writeHead(304, { etag: '"1"' });
    response.end();
  },
  'writeHead with an object': (_request, response) =>
    void response.writeHead(201, 'Made', { 'x-a': '1', 'set-cookie': ['a=1', 'b=2'] }).end('text'),
  'writeHead with a list': (_request, response) =>
    void response.writeHead(200, ['content-type', 'text/plain', 'x-a', '1']).end('text'),
  'a length of its own': (_request, response) => void response.setHeader('content-length', 4).end('text'),
  'several writes': (_request, response) => {
    response.write('one ');
    response.write('two ');
    response.end('three');
  },
  'a piped stream above the high-water mark': (_request, response) =>
    void Readable.from([big, big, big]).pipe(response),
  'flushed headers, then a late body': (_request, response) => {
    response.flushHeaders();
    setImmediate(() => response.end('late'));
  },
  trailers: (_request, response) => {
    response.setHeader('trailer', 'x-sum');
    response.write('text');
    response.addTrailers({ 'x-sum': '1' });
    response.end();
  },
};

for (const [name, handler] of Object.entries(handlers)) {
  // Node has no trailers in responses to HEAD.
  for (const method of name === 'trailers' ? ['GET'] : ['GET', 'HEAD']) {
    test(`a held response is sent as it would be without the delay: ${method}, ${name}`, async () => {
      const plain = await exchange(method, handler);
      const held = await exchange(method, (request, response) => {
        holdResponse(response, { onHeaders: () => undefined, untilSent: () => nextIteration() });
        handler(request, response);
      });
      expect(held).toBe(plain);
      expect(held).toMatch(/^HTTP\/1\.1 (200|201|204|304) /);
    });
  }
}

test('no byte is sent before the promise resolves, and the headers count as sent', async () => {
  const durable = Promise.withResolvers<undefined>();
  let statuses: number[] = [];
  let seen: { sent: boolean; rejected: boolean } | null = null;
  const received = exchange('GET', (_request: IncomingMessage, response: ServerResponse) => {
    holdResponse(response, {
      onHeaders: () => void response.setHeader('x-late', 'yes'),
      untilSent: (status) => {
        statuses = [...statuses, status];
        return durable.promise;
      },
    });
    response.statusCode = 202;
    response.end('text');
    let rejected = false;
    try {
      response.setHeader('x-too-late', '1');
    } catch {
      rejected = true;
    }
    seen = { sent: response.headersSent, rejected };
  });
  await expect.poll(() => seen, { timeout: 20_000 }).toEqual({ sent: true, rejected: true });
  expect(await Promise.race([received, nextIteration().then(() => 'nothing yet')])).toBe('nothing yet');
  durable.resolve(undefined);
  expect(await received).toMatch(/^HTTP\/1\.1 202 Accepted\r\n.*\r\nx-late: yes\r\n/s);
  expect(statuses).toEqual([202]);
});

function nextIteration(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** The bytes of one response, without its date. */
async function exchange(method: string, handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write(`${method} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  server.close();
  return normalForm(
    Buffer.concat(chunks)
      .toString('latin1')
      .replace(/^date: .*\r\n/im, ''),
  );
}

/** Sorts the fields, and joins the chunks of a chunked body: the delay may change the order and where chunks begin. */
function normalForm(text: string): string {
  const [head = '', ...parts] = text.split('\r\n\r\n');
  const [status = '', ...fields] = head.split('\r\n');
  const body = parts.join('\r\n\r\n');
  const isChunked = /transfer-encoding: chunked/i.test(head);
  return [
    status,
    ...fields.map((field) => field.toLowerCase()).sort(),
    '',
    isChunked ? body.replace(/(^|\r\n)[0-9a-f]+\r\n/g, '') : body,
  ].join('\r\n');
}

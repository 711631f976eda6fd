import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createPost, violationOf } from '../../../../services/alerter/deliver/post.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function receiver(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('private addresses are refused', () => {
  test.each([
    'http://127.0.0.1/',
    'http://127.1/',
    'http://2130706433/',
    'http://0x7f.0.0.1/',
    'http://0177.0.0.1/',
    'http://0.0.0.0/',
    'http://localhost/',
    'http://localhost./',
    'http://a.localhost/',
    'http://10.0.0.1/',
    'http://172.16.5.4/',
    'http://192.168.1.1/',
    'http://100.64.0.1/',
    'http://169.254.169.254/latest/meta-data/',
    'http://224.0.0.1/',
    'http://255.255.255.255/',
    'http://[::]/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:a00:1]/',
    'http://[64:ff9b::a00:1]/',
    'http://[2002:a00:1::]/',
    'http://[fc00::1]/',
    'http://[fe80::1]/',
    'https://user:password@example.com/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'gopher://example.com/',
    'example.com/hook',
    '',
  ])('%s', async (address) => {
    expect(violationOf(address, false)).not.toBeNull();
    const post = createPost({ allowPrivate: false, timeoutMs: 20_000 });
    expect(await post(address, {}, '{}')).toMatchObject({ kind: 'refused' });
  });

  test.each(['https://example.com/hook', 'http://93.184.216.34:8080/', 'https://[2606:2800:220:1::1]/'])(
    'and %s is not',
    (address) => {
      expect(violationOf(address, false)).toBeNull();
    },
  );

  test('also where a name resolves to them', async () => {
    // The hosts file resolves this name to the loopback address, but the name itself does not look like one.
    const post = createPost({ allowPrivate: false, timeoutMs: 20_000 });
    const outcome = await post('http://ip6-localhost:9/', {}, '{}');
    expect(outcome.kind === 'refused' ? outcome.error : 'no answer: ENOTFOUND').toMatch(
      /resolves to a private|ENOTFOUND|EAI_AGAIN/,
    );
  });
});

describe('a target', () => {
  const post = createPost({ allowPrivate: true, timeoutMs: 20_000 });

  test('receives the body and the headers, and a 2xx response means delivered', async () => {
    let received = '';
    const url = await receiver((request, response) => {
      request.on('data', (chunk: Buffer) => (received += chunk.toString()));
      request.on('end', () =>
        response.writeHead(204, { 'x-id': String(request.headers['webhook-id']) }).end(),
      );
    });
    expect(await post(url, { 'webhook-id': 'one' }, '{"ü":1}')).toEqual({ kind: 'delivered' });
    expect(received).toBe('{"ü":1}');
  });

  test('that answers 410 is gone', async () => {
    const url = await receiver((_, response) => response.writeHead(410).end());
    expect(await post(url, {}, '{}')).toMatchObject({ kind: 'gone' });
  });

  test.each([400, 404, 429, 500, 503])('that answers %d is retried', async (status) => {
    const url = await receiver((_, response) => response.writeHead(status, { 'retry-after': '7' }).end());
    expect(await post(url, {}, '{}')).toEqual({
      kind: 'failed',
      error: `answered ${status}`,
      retryAfterMs: 7000,
    });
  });

  test('that redirects is not followed', async () => {
    let followed = 0;
    const other = await receiver((_, response) => {
      followed += 1;
      response.end();
    });
    const url = await receiver((_, response) => response.writeHead(302, { location: other }).end());
    expect(await post(url, {}, '{}')).toEqual({
      kind: 'failed',
      error: 'answered 302: redirects are not followed',
    });
    expect(followed).toBe(0);
  });

  test('that never answers fails after the timeout', async () => {
    const url = await receiver(() => undefined);
    const impatient = createPost({ allowPrivate: true, timeoutMs: 300 });
    expect(await impatient(url, {}, '{}')).toEqual({ kind: 'failed', error: 'no answer within 300 ms' });
  });

  test('that sends an endless body counts as delivered by its status', async () => {
    const url = await receiver((_, response) => {
      response.writeHead(200);
      response.on('error', () => undefined);
      const pour = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      };
      response.on('drain', pour);
      pour();
    });
    expect(await post(url, {}, '{}')).toEqual({ kind: 'delivered' });
  });

  test('that does not accept connections is retried', async () => {
    expect(await post('http://127.0.0.1:9/', {}, '{}')).toEqual({
      kind: 'failed',
      error: 'no answer: ECONNREFUSED',
    });
  });
});

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { serviceToken, startGateway, startUpstream } from '../../integration/gateway/gateway.ts';
import type { TestGateway, TestUpstream } from '../../integration/gateway/gateway.ts';
import { exchangeRaw, openRaw } from '../../integration/gateway/http/raw-connection.ts';
import type { RawResponse } from '../../integration/gateway/http/raw-connection.ts';
import { eventually } from '../../support/servers.ts';

/**
 * Goal: for any bytes that a client writes, every response has the limit headers and an event, and the gateway and its
 * upstream see the same requests. Method: write each form as raw bytes to a socket, on both listeners.
 */
let upstream: TestUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  upstream = await startUpstream((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => response.end(`${request.method} ${request.url} ${body}`));
  });
  gateway = await startGateway({
    policy: { plans, services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]' },
    upstream: upstream.url,
    bodyBytesMax: 1_000,
  });
});

afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

afterEach(() => {
  gateway.events.length = 0;
  upstream.seen.length = 0;
});

const plans = '{ free: { limits: [{ name: minute, per: tenant, limit: 10000, window: 1m }] } }';
/** Header fields that make the api listener read the body, so that it detects errors in the body. */
const authenticated = `Content-Type: application/json\r\nX-Service-Token: ${serviceToken}\r\n`;
const post = (fields: string, body: string): string =>
  `POST /v1/check HTTP/1.1\r\nHost: h\r\n${authenticated}${fields}\r\n\r\n${body}`;
const get = (lines: string): string => `GET /x HTTP/1.1\r\n${lines}\r\n\r\n`;
const chunked = 'Transfer-Encoding: chunked';
const hello = '5\r\nhello\r\n0\r\n\r\n';

const refused: readonly [name: string, status: number, bytes: string][] = [
  ['not HTTP', 400, 'hello\r\n\r\n'],
  ['a TLS handshake', 400, '\u0016\u0003\u0001\u0000\u00fc\u0001\u0000\u0000\u00f8\u0003\u0003\r\n\r\n'],
  ['an unknown method', 400, 'FOO /x HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['a method in lower case', 400, 'get /x HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['no Host', 400, 'GET /x HTTP/1.1\r\n\r\n'],
  ['two Hosts', 400, get('Host: a\r\nHost: b')],
  ['a bare LF after the request line', 400, 'GET /x HTTP/1.1\nHost: h\n\n'],
  ['a bare LF after a field', 400, get('Host: h\nA: b')],
  ['a bare CR in a field', 400, get('Host: h\rA: b')],
  ['a folded field', 400, get('Host: h\r\nA: b\r\n c')],
  ['a space before the colon', 400, get('Host : h')],
  ['a space before the first field', 400, get(' Host: h')],
  ['a NUL in a field', 400, get('Host: h\r\nA: b\u0000c')],
  ['Content-Length with Transfer-Encoding', 400, post(`Content-Length: 5\r\n${chunked}`, hello)],
  ['Transfer-Encoding with Content-Length', 400, post(`${chunked}\r\nContent-Length: 5`, hello)],
  ['two lengths', 400, post('Content-Length: 5\r\nContent-Length: 6', 'hello!')],
  ['the same length twice', 400, post('Content-Length: 5\r\nContent-Length: 5', 'hello')],
  ['a list of lengths', 400, post('Content-Length: 5, 5', 'hello')],
  ['a signed length', 400, post('Content-Length: +5', 'hello')],
  ['chunked twice', 400, post('Transfer-Encoding: chunked, chunked', hello)],
  ['chunked, then identity', 400, post(`${chunked}\r\nTransfer-Encoding: identity`, hello)],
  ['a coding that is not the last', 501, post('Transfer-Encoding: gzip, chunked', hello)],
  ['an unknown coding', 400, post('Transfer-Encoding: xchunked', hello)],
  ['Transfer-Encoding in HTTP/1.0', 400, `POST /x HTTP/1.0\r\n${chunked}\r\n\r\n${hello}`],
  ['a chunk size that is not a number', 400, post(chunked, 'zz\r\nhello\r\n0\r\n\r\n')],
  ['a chunk size that ends in LF', 400, post(chunked, '5\nhello\r\n0\r\n\r\n')],
  ['chunk extensions that are too long', 413, post(chunked, `5;${'a'.repeat(20_000)}\r\nhello\r\n0\r\n\r\n`)],
  ['a length among the trailers', 400, post(chunked, '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n')],
  ['16 KB of headers', 431, get(`Host: h\r\nA: ${'a'.repeat(17_000)}`)],
  ['HTTP/0.9', 505, 'GET /x\r\n\r\n'],
  ['HTTP/1.2', 505, 'GET /x HTTP/1.2\r\nHost: h\r\n\r\n'],
  ['HTTP/2 without negotiation', 505, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['another expectation', 417, post('Expect: a-miracle\r\nContent-Length: 5', 'hello')],
  ['an expectation beside 100-continue', 417, post('Expect: 100-continue, x\r\nContent-Length: 5', 'hello')],
  ['CONNECT', 405, 'CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n'],
];

const forProxy: typeof refused = [
  ...refused,
  ['TRACE', 405, 'TRACE /x HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['a Content-Length that is too large', 413, post('Content-Length: 1001', 'a'.repeat(1_001))],
];

describe.each([
  ['proxy', forProxy, () => gateway.proxyUrl],
  ['api', refused, () => gateway.apiUrl],
] as const)('A5: the %s listener refuses', (entrypoint, forms, url) => {
  test.each(forms)(
    '%s with a %i that has limit headers, and writes one event',
    async (_name, status, bytes) => {
      const response = await exchangeRaw(url(), bytes);
      expect(response.status).toBe(status);
      expectLimits(response);
      expect(response.headers.get('connection')).toBe('close');
      expect(response.headers.has('allow')).toBe(status === 405);
      expect(JSON.parse(response.body)).toMatchObject({ status });
      expect(gateway.requests()).toMatchObject([{ data: { status, entrypoint, client_ip: '127.0.0.1' } }]);
      expect(upstream.seen.filter(({ complete }) => complete)).toEqual([]);
    },
  );
});

describe('A5: valid HTTP/1.1 is served', () => {
  const served: readonly [name: string, bytes: string, body: string][] = [
    ['HTTP/1.0 without Host', 'GET /x HTTP/1.0\r\n\r\n', 'GET /x '],
    ['HTTP/1.0 with a body', 'POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi', 'POST /x hi'],
    ['HTTP/1.0 with Expect', 'POST /x HTTP/1.0\r\nExpect: x\r\nContent-Length: 2\r\n\r\nhi', 'POST /x hi'],
    ['empty lines before a request', '\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n', 'GET /x '],
    ['chunks with extensions', post(chunked, '5;a=b\r\nhello\r\n0\r\n\r\n'), 'POST /v1/check hello'],
    [
      'chunks with trailers',
      post(`Trailer: t\r\n${chunked}`, '5\r\nhello\r\n0\r\nt: 1\r\n\r\n'),
      'POST /v1/check hello',
    ],
    ['a coding in upper case', post('Transfer-Encoding: CHUNKED', hello), 'POST /v1/check hello'],
    ['a GET with a body', get('Host: h\r\nContent-Length: 2').concat('hi'), 'GET /x hi'],
    [
      'an invalid content type',
      'POST /x HTTP/1.1\r\nHost: h\r\nContent-Type: ;;\r\nContent-Length: 2\r\n\r\nhi',
      'POST /x hi',
    ],
    ['OPTIONS', 'OPTIONS /x HTTP/1.1\r\nHost: h\r\n\r\n', 'OPTIONS /x '],
    [
      'an upgrade that is not served',
      get('Host: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk'),
      'GET /x ',
    ],
  ];

  test.each(served)('%s', async (_name, bytes, body) => {
    const response = await exchangeRaw(gateway.proxyUrl, bytes);
    expect([response.status, response.body]).toEqual([200, body]);
    expectLimits(response);
    expect(gateway.requests()).toMatchObject([{ data: { status: 200, entrypoint: 'proxy' } }]);
    expect(upstream.seen).toHaveLength(1);
  });

  test('an upgrade on a listener without WebSockets is an ordinary request', async () => {
    const fields = 'Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a';
    const response = await exchangeRaw(gateway.apiUrl, `GET /v1/nothing HTTP/1.1\r\n${fields}\r\n\r\n`);
    expect(response.status).toBe(404);
    expectLimits(response);
  });
});

describe('several requests on one connection', () => {
  test('get their responses in order, each with limit headers and an event', async () => {
    const connection = await openRaw(gateway.proxyUrl);
    connection.write([1, 2, 3].map((n) => `GET /${n} HTTP/1.1\r\nHost: h\r\n\r\n`).join(''));
    for (const [index, path] of ['/1', '/2', '/3'].entries()) {
      const response = await connection.response(index);
      expect(response.body).toBe(`GET ${path} `);
      expectLimits(response);
    }
    expect(gateway.requests().map(({ data }) => data.path)).toEqual(['/1', '/2', '/3']);
    connection.destroy();
  });

  test('the error of a later request is sent after the response of an earlier one', async () => {
    for (const bad of [
      'GARBAGE\r\n\r\n',
      'GET /2 HTTP/1.1\r\n\r\n',
      'CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n',
    ]) {
      gateway.events.length = 0;
      const connection = await openRaw(gateway.proxyUrl);
      connection.write(`GET /1 HTTP/1.1\r\nHost: h\r\n\r\n${bad}`);
      await connection.closed;
      const [first, second, ...more] = connection.responses();
      expect([first?.status, first?.body]).toEqual([200, 'GET /1 ']);
      expect(second?.status).toBeGreaterThanOrEqual(400);
      expectLimits(second!);
      expect(more).toEqual([]);
      expect(gateway.requests()).toHaveLength(2);
    }
  });

  test('an error in a body is the only response to its request', async () => {
    const connection = await openRaw(gateway.proxyUrl);
    connection.write(post(chunked, '5\r\nhello\r\n'));
    await eventually(() => upstream.seen.length === 1);
    connection.write('zz\r\n');
    await connection.closed;
    expect(connection.responses()).toMatchObject([{ status: 400 }]);
    expectLimits(connection.responses()[0]!);
    expect(gateway.requests()).toMatchObject([
      { data: { status: 400, path: '/v1/check', decision: 'bypassed' } },
    ]);
    await eventually(() => upstream.seen[0]?.destroyed);
  });
});

function expectLimits({ headers }: RawResponse): void {
  for (const name of ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset']) {
    expect(headers.get(name), name).toMatch(/^\d+$/);
  }
  expect(headers.get('ratelimit-policy')).toBe('"minute";q=10000;w=60');
  expect(headers.get('ratelimit')).toMatch(/^"minute";r=\d+;t=\d+$/);
}

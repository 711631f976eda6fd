// Goal: interim responses and half-closed connections never cost a client its response. Method: an upstream and a client
// that write raw bytes.
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../../support/servers.ts';
import { startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';
import { openRaw } from './raw-connection.ts';

const plans = '{ free: { limits: [{ name: minute, per: tenant, limit: 100000, window: 1m }] } }';
const finalResponse = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
const continued = 'HTTP/1.1 100 Continue\r\n\r\n';

let gateway: TestGateway;
let server: Server;
/** Called by the upstream when it has read the headers of a request. */
let serve: (socket: Socket) => void;
const sockets = new Set<Socket>();

beforeAll(async () => {
  server = createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      text = '';
      serve(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const upstream = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  gateway = await startGateway({ policy: { plans }, upstream });
});
afterAll(async () => {
  await gateway.close();
  for (const socket of sockets) socket.destroy();
  server.close();
});
afterEach(() => (gateway.events.length = 0));

describe('unexpected interim responses of the upstream', () => {
  const early = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n';
  const interims: readonly (readonly [name: string, text: string])[] = [
    ['100 Continue', continued],
    ['100 Continue with fields', 'HTTP/1.1 100 Go On\r\nDate: now\r\nX: y\r\n\r\n'],
    ['100 Continue of HTTP/1.0', 'HTTP/1.0 100 Continue\r\n\r\n'],
    ['three of them', continued.repeat(3)],
    ['102 Processing', 'HTTP/1.1 102 Processing\r\n\r\n'],
    ['103 Early Hints', early],
    ['a sequence of all kinds', continued + early + continued + 'HTTP/1.1 199 X\r\n\r\n' + continued],
  ];

  test.each(interims)(
    '%s: the final response is forwarded, however it is split into packets',
    async (_name, interim) => {
      const text = interim + finalResponse;
      for (const length of [text.length, 1, 7, interim.length, interim.length - 1, interim.length + 3]) {
        serve = (socket) => void writePieces(socket, text, length);
        const response = await fetch(gateway.proxyUrl);
        expect([response.status, await response.text()]).toEqual([200, 'hello']);
      }
      expect(gateway.requests().map(({ data }) => data.status)).toEqual(Array<number>(6).fill(200));
    },
  );

  test('are distinguished from a body that looks like one', async () => {
    const body = continued.repeat(2);
    serve = (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length * 2}\r\n\r\n`);
      void writePieces(socket, body + body, body.length);
    };
    for (let round = 0; round < 3; round += 1)
      expect(await (await fetch(gateway.proxyUrl)).text()).toBe(body + body);
  });

  test('without a final response are a 502', async () => {
    serve = (socket) => socket.end(continued);
    expect((await fetch(gateway.proxyUrl)).status).toBe(502);
    serve = (socket) => socket.end(continued.slice(0, 15));
    expect((await fetch(gateway.proxyUrl)).status).toBe(502);
  });
});

describe('a client that ends its side of the connection after its request', () => {
  const request = (version: string): string => `GET /x HTTP/${version}\r\nHost: h\r\n\r\n`;
  let waiting: Socket[] = [];
  const hold = (): void => {
    waiting = [];
    serve = (socket) => void waiting.push(socket);
  };

  test.each(['1.1', '1.0'])('gets its response (HTTP/%s)', async (version) => {
    hold();
    const connection = await openRaw(gateway.proxyUrl);
    connection.write(request(version));
    connection.end();
    await eventually(() => waiting.length === 1);
    waiting[0]?.write(finalResponse);
    await connection.closed;
    expect(connection.text()).toMatch(/^HTTP\/1\.1 200 OK/);
    expect(connection.responses()).toMatchObject([{ status: 200, body: 'hello' }]);
    expect(gateway.requests().map(({ data }) => data.status)).toEqual([200]);
  });

  test('gets all responses in order, also on the api listener', async () => {
    serve = (socket) => socket.write(finalResponse);
    for (const [url, status] of [
      [gateway.proxyUrl, 200],
      [gateway.apiUrl, 401],
    ] as const) {
      const connection = await openRaw(url);
      connection.write('GET /v1/limits HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(3));
      connection.end();
      await connection.closed;
      expect(connection.responses().map((response) => response.status)).toEqual([status, status, status]);
    }
  });

  test('gets a response that is slow and arrives in pieces', async () => {
    hold();
    const connection = await openRaw(gateway.proxyUrl);
    connection.write(request('1.1'));
    connection.end();
    // The gateway sends this interim response as a probe of the half-closed connection.
    await eventually(() => connection.text().startsWith(continued));
    waiting[0]?.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await eventually(() => connection.text().includes('hello'));
    waiting[0]?.write('6\r\n world\r\n0\r\n\r\n');
    await connection.closed;
    expect(connection.responses()).toMatchObject([{ status: 200, body: 'hello world' }]);
  });

  test('and disconnects is detected, and its request is ended', async () => {
    hold();
    const connection = await openRaw(gateway.proxyUrl);
    connection.write(request('1.1'));
    await eventually(() => waiting.length === 1);
    connection.destroy();
    await eventually(() => waiting[0]?.destroyed === true);
    await eventually(() => gateway.requests().length === 1);
    expect(gateway.requests()[0]?.data.status).toBe(499);
  });

  test('and disconnects in the middle of a response that sends no bytes is detected', async () => {
    hold();
    const connection = await openRaw(gateway.proxyUrl);
    connection.write(request('1.1'));
    await eventually(() => waiting.length === 1);
    waiting[0]?.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n');
    await eventually(() => connection.text().includes('data: 1'));
    connection.destroy();
    await eventually(() => waiting[0]?.destroyed === true);
  });
});

/** Writes the text in pieces of `length` bytes. Most pieces are sent in separate packets. */
async function writePieces(socket: Socket, text: string, length: number): Promise<void> {
  socket.setNoDelay(true);
  for (let at = 0; at < text.length; at += length) {
    await new Promise<void>((resolve) =>
      socket.write(text.slice(at, at + length), () => setImmediate(resolve)),
    );
  }
}

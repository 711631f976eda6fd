import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { expect, test } from 'vitest';
import { createUpstreamConnector } from '../../../services/gateway/transport/upstream-socket.ts';

test('A4: bytes that the parser puts back while the client is slow are not lost', async () => {
  const server = createServer((peer) => peer.write('0123456789'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = String((server.address() as AddressInfo).port);
  const connect = createUpstreamConnector(1_000);
  const socket = await new Promise<Socket>((resolve, reject) => {
    connect({ hostname: '127.0.0.1', host: '127.0.0.1', protocol: 'http:', port }, (error, connected) => {
      if (error === null) resolve(connected);
      else reject(error);
    });
  });
  await once(socket, 'readable');
  const first = socket.read() as Buffer;
  socket.unshift(first.subarray(4));
  // Node's streams call this for themselves.
  expect(socket.read(0)).toBeNull();
  expect(String(socket.read())).toBe('456789');
  socket.destroy();
  server.close();
});

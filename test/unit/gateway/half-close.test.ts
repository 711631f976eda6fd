import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { expect, test } from 'vitest';
import { trackConnections } from '../../../services/gateway/transport/connection.ts';
import { allowHalfClose } from '../../../services/gateway/transport/half-close.ts';

test('a half-closed client gets a response whose bytes arrived while the gateway stood still', async () => {
  // An upstream in another process: it goes on while this process stands still.
  const upstream = spawn(
    process.execPath,
    ['-e', `process.stdin.once('data', () => process.stdout.end('end'))`],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const server = createServer((_request, response) => {
    response.write('begin');
    upstream.stdout.pipe(response);
  });
  trackConnections(server);
  allowHalfClose(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  let text = '';
  client.setEncoding('utf8').on('data', (data: string) => (text += data));
  try {
    client.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const [socket] = await accepted;
    const ended = once(socket, 'end');
    await once(client, 'data');
    client.end();
    await ended;
    await new Promise<void>((resolve) => upstream.stdin.end('go', resolve));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
    await once(client, 'close');
    expect(text).toMatch(/begin[^]*end[^]*\r\n0\r\n\r\n$/);
  } finally {
    client.destroy();
    upstream.kill();
    server.close();
  }
});

// A bare proxy of Fastify and undici in its own process: node fastify-proxy.ts <port of the upstream>. Prints its port and ends with its
// parent.
import { fastify } from 'fastify';
import { Pool } from 'undici';

const upstream = new Pool(`http://127.0.0.1:${process.argv[2] ?? ''}`, { connections: 64 });
const app = fastify();
app.get('*', async (request, reply) => {
  const { host: _, connection: __, ...headers } = request.headers;
  const response = await upstream.request({ method: 'GET', path: request.url, headers });
  // The reply has the headers of the upstream without those of the connection, as a proxy's.
  const { connection: ___, 'keep-alive': ____, 'transfer-encoding': _____, ...kept } = response.headers;
  return reply.code(response.statusCode).headers(kept).send(response.body);
});
await app.listen({ host: '127.0.0.1', port: 0 });
const address = app.server.address();
process.stdout.write(`${typeof address === 'object' ? (address?.port ?? 0) : 0}\n`);
process.stdin.on('close', () => process.exit(0)).resume();

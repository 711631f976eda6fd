// A bare proxy of Fastify and undici in its own process: node fastify-proxy.ts <port of the upstream>. Prints its port and ends with its
// parent. It forwards fewer headers than a proxy has to, which only favours it.
import { fastify } from 'fastify';
import { Pool } from 'undici';

const upstream = new Pool(`http://127.0.0.1:${process.argv[2] ?? ''}`, { connections: 64 });
const app = fastify();
app.get('*', async (request, reply) => {
  const { authorization } = request.headers;
  const response = await upstream.request({ method: 'GET', path: request.url, headers: { authorization } });
  const { 'content-type': type, 'content-length': length } = response.headers;
  return reply
    .code(response.statusCode)
    .headers({ 'content-type': type, 'content-length': length })
    .send(response.body);
});
await app.listen({ host: '127.0.0.1', port: 0 });
const address = app.server.address();
process.stdout.write(`${typeof address === 'object' ? (address?.port ?? 0) : 0}\n`);
process.stdin.on('close', () => process.exit(0)).resume();

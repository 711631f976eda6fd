import { fastify } from 'fastify';
import { tollgate } from '@tollgate/fastify';

const app = fastify();

// While Redis is unavailable, `open` admits this process's share of each limit; `closed` responds with 503.
await app.register(tollgate, {
  policy: 'policy.yaml',
  redis: 'redis://127.0.0.1:6379',
  kafka: '127.0.0.1:9092',
  spoolDirectory: 'spool',
  onFailure: process.env.ON_FAILURE ?? 'open',
});

app.get('/health', { config: { tollgate: false } }, () => ({ status: 'ok' }));
app.get('/hello', () => ({ hello: 'world' }));
app.post('/reports', { config: { tollgate: { cost: 5 } } }, () => ({ report: 1 }));

await app.listen({ port: Number(process.env.PORT ?? 3000) });
process.once('SIGTERM', () => app.close());
process.once('SIGINT', () => app.close());

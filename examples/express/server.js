import express from 'express';
import { tollgate } from '@tollgate/express';

const app = express();

// While Redis is unavailable, `open` admits this process's share of each limit; `closed` responds with 503.
const limits = await tollgate({
  policy: 'policy.yaml',
  redis: 'redis://127.0.0.1:6379',
  kafka: '127.0.0.1:9092',
  spoolDirectory: 'spool',
  onFailure: process.env.ON_FAILURE ?? 'open',
  cost: (request) => (request.url === '/reports' ? 5 : null),
  exempt: (request) => request.url === '/health',
});
app.use(limits);

app.get('/health', (request, response) => response.json({ status: 'ok' }));
app.get('/hello', (request, response) => response.json({ hello: 'world' }));
app.post('/reports', (request, response) => response.json({ report: 1 }));

const server = app.listen(Number(process.env.PORT ?? 3000));
const close = () => server.close(() => limits.close());
process.once('SIGTERM', close);
process.once('SIGINT', close);

import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { tollgate } from './tollgate.js';

const app = new Hono();

app.get('/health', (context) => context.json({ status: 'ok' }));
app.use(
  tollgate({
    url: process.env.TOLLGATE_API ?? 'http://127.0.0.1:8081',
    token: process.env.TOLLGATE_SERVICE_TOKEN,
    // While Tollgate is away, `open` serves requests without a limit; `closed` responds with 503.
    onFailure: process.env.ON_FAILURE ?? 'open',
    // Your application verifies its clients; here the tenant is a header.
    tenantOf: (context) => context.req.header('x-tenant') ?? 'anonymous-tenant',
  }),
);
app.post('/agent/chat', (context) => context.json({ answer: 42 }));

const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) });
process.once('SIGTERM', () => server.close());
process.once('SIGINT', () => server.close());

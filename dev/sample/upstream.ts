import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { createAiRoutes } from './ai/routes.ts';

/**
 * Sample API behind the gateway. It has the endpoints of an agent platform, which respond after short, realistic
 * delays, and the AI endpoints of OpenAI and Anthropic. It listens on `HOST` and `PORT`. It has no limits, so every 429
 * comes from the gateway.
 */
type Handler = (request: IncomingMessage, response: ServerResponse, path: string) => Promise<void>;

const ai = createAiRoutes(body);

const routes: readonly (readonly [method: string, path: RegExp, handler: Handler])[] = [
  ['GET', /^\/health$/, (_request, response) => json(response, 200, { status: 'ok' })],
  ['POST', /^\/(?:agent|widget)\/chat$/, chat],
  ['POST', /^\/agent\/calendar$/, calendar],
  ['GET', /^\/audit\/logs$/, auditLogs],
  ['POST', /^\/agents\/[^/]+\/runs$/, startRun],
  ['GET', /^\/agents\/[^/]+\/runs$/, listRuns],
  ['GET', /^\/v1\/reports\/unstable$/, unstable],
  [
    'GET',
    /^\/status\/[2-5]\d\d$/,
    (_request, response, path) => json(response, Number(path.slice(8)), { status: path.slice(8) }),
  ],
  ['GET', /^\/slow$/, slow],
  ['GET', /^\/sample\/journal$/, ai.sendJournal],
  ['*', /^\/v1\//, resource],
  ['*', /^\/echo(?:\/|$)/, echo],
  ['*', /./, notFound],
];

const server = createServer((request, response) => void handle(request, response));
server.keepAliveTimeout = 30_000;
server.listen(Number(process.env['PORT'] ?? 9000), process.env['HOST'] ?? '127.0.0.1');
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => process.exit(0));

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const found = routes.find(
    ([method, pattern]) => (method === '*' || method === request.method) && pattern.test(path),
  );
  try {
    await (ai.serve(request, response, path) ?? found?.[2](request, response, path));
  } catch (error) {
    if (!response.headersSent) await json(response, 400, { error: String(error) });
    else response.destroy();
  }
}

async function chat(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const fields = asObject(await body(request));
  const words = `You said: ${typeof fields['message'] === 'string' ? fields['message'] : 'nothing'}`.split(
    ' ',
  );
  if (fields['stream'] !== true) {
    await wait(delayMs(20, 60));
    await json(response, 200, { reply: words.join(' '), tokens: words.length });
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  for (const word of words) {
    response.write(`data: ${JSON.stringify({ token: word })}\n\n`);
    await wait(15);
  }
  response.end('data: [DONE]\n\n');
}

async function calendar(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const fields = asObject(await body(request));
  await wait(delayMs(10, 30));
  await json(response, 201, {
    id: `evt_${Date.now()}`,
    title: fields['title'] ?? 'Untitled',
    status: 'booked',
  });
}

async function auditLogs(_request: IncomingMessage, response: ServerResponse): Promise<void> {
  await wait(delayMs(5, 15));
  const logs = Array.from({ length: 10 }, (_, i) => ({
    id: i + 1,
    action: i % 3 === 0 ? 'login' : 'chat',
    actor: `user-${i % 4}`,
  }));
  await json(response, 200, { logs });
}

async function startRun(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  await body(request);
  await wait(delayMs(15, 40));
  await json(response, 202, { run_id: `run_${Date.now()}`, agent: path.split('/')[2], status: 'queued' });
}

async function listRuns(_request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  await wait(delayMs(5, 10));
  await json(response, 200, { agent: path.split('/')[2], runs: [] });
}

/** An endpoint that fails at every third call, like an unreliable dependency. */
let unstableCalls = 0;
async function unstable(_request: IncomingMessage, response: ServerResponse): Promise<void> {
  await wait(delayMs(30, 90));
  if (++unstableCalls % 3 === 0) await json(response, 503, { error: 'report store unavailable' });
  else await json(response, 200, { report: 'ready' });
}

const slowMsMax = 30_000;

async function slow(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const waitMs = Number(new URL(request.url ?? '/', 'http://upstream').searchParams.get('ms') ?? 1_000);
  await wait(Math.min(Math.max(Number.isFinite(waitMs) ? waitMs : 0, 0), slowMsMax));
  await json(response, 200, { waited_ms: waitMs });
}

async function resource(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  await body(request);
  await wait(delayMs(3, 12));
  if (request.method === 'DELETE') response.writeHead(204).end();
  else await json(response, request.method === 'POST' ? 201 : 200, { path, items: [1, 2, 3] });
}

async function notFound(_request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  await json(response, 404, { error: `the sample API has nothing at ${path}; see /echo` });
}

async function echo(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  const received = await body(request);
  await json(response, 200, {
    method: request.method,
    path,
    url: request.url,
    headers: request.headers,
    body: received,
  });
}

const bodyBytesMax = 1024 * 1024;

async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > bodyBytesMax) throw new Error('the sample API takes bodies of up to 1 MiB');
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString();
}

function asObject(text: string): Record<string, unknown> {
  if (text === '') return {};
  const value: unknown = JSON.parse(text);
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function json(response: ServerResponse, status: number, value: unknown): Promise<void> {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  return Promise.resolve();
}

function delayMs(least: number, most: number): number {
  return least + Math.random() * (most - least);
}

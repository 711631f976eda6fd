import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { pino } from 'pino';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { servers, uniqueNamespace } from './servers.ts';
import type { Servers } from './servers.ts';
import { startServices } from './services.ts';
import type { ServiceName } from '../../dev/stack/services.ts';
import type { Installation } from './services.ts';

/** A response as a client sees it. `body` is empty if the response is not a JSON object. */
export interface CallResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
  readonly text: string;
}

export interface CallOptions {
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/**
 * A policy in real processes. It has its own names on the shared servers, and an upstream that responds to every path.
 */
export interface PolicyRun {
  readonly installation: Installation;
  readonly serviceToken: string;
  readonly adminToken: string;
  readonly clickhouse: ClickHouse;
  /** Path of the policy file in use, which a test may edit. */
  readonly policyPath: string;
  readonly keyPrefix: string;
  /** A valid token with these claims. */
  token(claims: Readonly<Record<string, string>>, secret?: string): Promise<string>;
  /** Calls the API behind the gateway: `call('POST /agent/chat', { token })`. */
  call(request: string, options?: CallOptions): Promise<CallResponse>;
  /** Calls the api listener. */
  api(request: string, options?: CallOptions): Promise<CallResponse>;
  /** Calls the admin API with the admin token. */
  admin(request: string, body?: unknown): Promise<CallResponse>;
  /** Repeats a call `count` times, `concurrency` at once. */
  calls(count: number, request: string, options?: CallOptions, concurrency?: number): Promise<CallResponse[]>;
  /** Lets the upstream respond to all requests to /held, which wait until then. Returns their number. */
  releaseHeld(): number;
  readonly held: () => number;
  stop(): Promise<void>;
}

export interface RunOptions {
  readonly services?: readonly ServiceName[];
  /** Changes the text of the policy, for example to a shorter window, so that a test need not wait for an hour. */
  readonly edit?: (text: string) => string;
  readonly env?: Readonly<Record<string, string>>;
  /** Environment variables of one service only. */
  readonly envOf?: Partial<Readonly<Record<ServiceName, Readonly<Record<string, string>>>>>;
  /** Servers that only this run uses and may stop. Default: the shared servers. */
  readonly servers?: Servers;
}

export async function runPolicy(name: string, options: RunOptions = {}): Promise<PolicyRun> {
  const { redisUrl, kafkaBrokers, clickhouseUrl } = options.servers ?? servers();
  const { topicPrefix, database, keyPrefix } = uniqueNamespace();
  const secrets = {
    jwt: randomBytes(32).toString('hex'),
    service: secret(),
    admin: secret(),
    portal: secret(),
  };
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-policy-'));
  const policyPath = join(dir, `${name}.yaml`);
  const text = await readFile(join(import.meta.dirname, `../../policies/${name}.yaml`), 'utf8');
  await writeFile(policyPath, options.edit?.(text) ?? text);
  const kafka = createKafka({
    brokers: kafkaBrokers,
    clientId: `test-${database}`,
    logger: pino({ level: 'silent' }),
  });
  await ensureTopics(kafka, topicsWith(topicPrefix));
  const upstream = await startUpstream();
  const env = {
    REDIS_URL: redisUrl,
    KAFKA_BROKERS: kafkaBrokers,
    CLICKHOUSE_URL: clickhouseUrl,
    CLICKHOUSE_DATABASE: database,
    TOLLGATE_TOPIC_PREFIX: topicPrefix,
    TOLLGATE_KEY_PREFIX: keyPrefix,
    TOLLGATE_NODE: `test-${database}`,
    TOLLGATE_POLICY: policyPath,
    TOLLGATE_UPSTREAM: upstream.url,
    // On a busy machine a call to Redis may be late. A shorter timeout would cause decisions without Redis.
    TOLLGATE_REDIS_TIMEOUT_MS: '2000',
    TOLLGATE_JWT_SECRET: secrets.jwt,
    TOLLGATE_SERVICE_TOKEN: secrets.service,
    TOLLGATE_ADMIN_TOKEN: secrets.admin,
    TOLLGATE_PORTAL_SECRET: secrets.portal,
    ...options.env,
  };
  const names = options.services ?? ['gateway', 'aggregator', 'admin'];
  const installation = await startServices(names, env, options.envOf);
  const clickhouse = createClickHouse({ url: clickhouseUrl, database });
  const { gateway, api, admin } = installation.urls;
  const call = (request: string, callOptions: CallOptions = {}): Promise<CallResponse> =>
    send(gateway, request, callOptions);
  return {
    installation,
    serviceToken: secrets.service,
    adminToken: secrets.admin,
    clickhouse,
    policyPath,
    keyPrefix,
    token: (claims, key = secrets.jwt) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256' })
        .setExpirationTime('1h')
        .sign(new TextEncoder().encode(key)),
    call,
    api: (request, callOptions = {}) => send(api, request, callOptions),
    admin: (request, body) => send(admin, request, { token: secrets.admin, body }),
    calls: (count, request, callOptions = {}, concurrency = 10) =>
      inParallel(count, concurrency, () => call(request, callOptions)),
    releaseHeld: upstream.releaseHeld,
    held: upstream.held,
    stop: async () => {
      upstream.releaseHeld();
      await installation.stop();
      upstream.close();
      await clickhouse.close();
      await dropDatabase(clickhouseUrl, database);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The aggregator creates the database, if the run has one. */
async function dropDatabase(url: string, database: string): Promise<void> {
  const clickhouse = createClickHouse({ url, database: 'default' });
  await clickhouse.command(`DROP DATABASE IF EXISTS ${database} SYNC`);
  await clickhouse.close();
}

/** Number of responses by status. */
export function tally(responses: readonly CallResponse[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of responses) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

async function send(
  base: string,
  request: string,
  { token, headers, body }: CallOptions,
): Promise<CallResponse> {
  const [method = 'GET', path = '/'] = request.split(' ');
  const response = await fetch(base + path, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') === true && text !== '';
  return {
    status: response.status,
    headers: response.headers,
    body: isJson ? (JSON.parse(text) as Record<string, unknown>) : {},
    text,
  };
}

async function inParallel<Value>(
  count: number,
  concurrency: number,
  work: () => Promise<Value>,
): Promise<Value[]> {
  const values: Value[] = [];
  let started = 0;
  const worker = async (): Promise<void> => {
    while (started < count) {
      started += 1;
      values.push(await work());
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
  return values;
}

function secret(): string {
  return randomBytes(24).toString('hex');
}

/** Responds 200 to every path, 404 to /status/404 and so on, and to /held when `releaseHeld` is called. */
async function startUpstream(): Promise<{
  url: string;
  held: () => number;
  releaseHeld: () => number;
  close: () => void;
}> {
  let waiting: ServerResponse[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    if (path.startsWith('/held')) {
      waiting.push(response);
      return;
    }
    const status = Number(/^\/status\/(\d{3})$/.exec(path)?.[1] ?? 200);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ path }));
  });
  // Allows a thousand connections to be opened at once: if the backlog is full, TCP tries a connection again only after
  // a second.
  server.listen({ port: 0, host: '127.0.0.1', backlog: 2_048 });
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    held: () => waiting.length,
    releaseHeld: () => {
      const count = waiting.length;
      for (const response of waiting) response.writeHead(200).end('{}');
      waiting = [];
      return count;
    },
    close: () => void server.close(),
  };
}

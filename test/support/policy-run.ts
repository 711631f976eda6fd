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
import type { Installation, ServiceName } from './services.ts';

/** An answer as a client sees it; `body` is JSON where it was JSON. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
  readonly text: string;
}

export interface Asking {
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** A policy file at work: real processes, names of its own on the shared servers, an upstream that answers everything. */
export interface PolicyRun {
  readonly installation: Installation;
  readonly serviceToken: string;
  readonly clickhouse: ClickHouse;
  /** The policy file that runs; it may be edited. */
  readonly policyPath: string;
  readonly keyPrefix: string;
  /** A valid token with these claims. */
  token(claims: Readonly<Record<string, string>>, secret?: string): Promise<string>;
  /** Calls through the gateway: `call('POST /agent/chat', { token })`. */
  call(what: string, asking?: Asking): Promise<Answer>;
  api(what: string, asking?: Asking): Promise<Answer>;
  /** With the admin token. */
  admin(what: string, body?: unknown): Promise<Answer>;
  /** Answers of as many calls, `at` a time. */
  calls(count: number, what: string, asking?: Asking, at?: number): Promise<Answer[]>;
  /** Requests to /held wait upstream until this is called; it says how many waited. */
  letGo(): number;
  readonly held: () => number;
  stop(): Promise<void>;
}

export interface RunOptions {
  readonly services?: readonly ServiceName[];
  /** Changes the policy's text: a shorter window, where waiting an hour is no option. */
  readonly edit?: (text: string) => string;
  readonly env?: Readonly<Record<string, string>>;
  /** What one service alone gets, e.g. a clock. */
  readonly envOf?: Partial<Readonly<Record<ServiceName, Readonly<Record<string, string>>>>>;
  /** Servers of this run alone, to be stopped and cut off; absent: the shared ones. */
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
    // On a busy machine Redis answers late now and then; what is tested by default is what it decides, not who.
    TOLLGATE_REDIS_TIMEOUT_MS: '2000',
    TOLLGATE_JWT_SECRET: secrets.jwt,
    TOLLGATE_SERVICE_TOKEN: secrets.service,
    TOLLGATE_ADMIN_TOKEN: secrets.admin,
    TOLLGATE_PORTAL_SECRET: secrets.portal,
    ...options.env,
  };
  const names = options.services ?? ['gateway', 'aggregator', 'console'];
  const installation = await startServices(names, env, options.envOf);
  const clickhouse = createClickHouse({ url: clickhouseUrl, database });
  const { gateway, api, admin } = installation.urls;
  const call = (what: string, asking: Asking = {}): Promise<Answer> => ask(gateway, what, asking);
  return {
    installation,
    serviceToken: secrets.service,
    clickhouse,
    policyPath,
    keyPrefix,
    token: (claims, key = secrets.jwt) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256' })
        .setExpirationTime('1h')
        .sign(new TextEncoder().encode(key)),
    call,
    api: (what, asking = {}) => ask(api, what, asking),
    admin: (what, body) => ask(admin, what, { token: secrets.admin, body }),
    calls: (count, what, asking = {}, at = 10) => inParallel(count, at, () => call(what, asking)),
    letGo: upstream.letGo,
    held: upstream.held,
    stop: async () => {
      upstream.letGo();
      await installation.stop();
      upstream.close();
      await clickhouse.close();
      await dropDatabase(clickhouseUrl, database);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The aggregator made it, where one ran. */
async function dropDatabase(url: string, database: string): Promise<void> {
  const clickhouse = createClickHouse({ url, database: 'default' });
  await clickhouse.command(`DROP DATABASE IF EXISTS ${database} SYNC`);
  await clickhouse.close();
}

/** How many answers had each status. */
export function tally(answers: readonly Answer[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

async function ask(base: string, what: string, { token, headers, body }: Asking): Promise<Answer> {
  const [method = 'GET', path = '/'] = what.split(' ');
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

async function inParallel<Value>(count: number, at: number, work: () => Promise<Value>): Promise<Value[]> {
  const values: Value[] = [];
  let started = 0;
  const worker = async (): Promise<void> => {
    while (started < count) {
      started += 1;
      values.push(await work());
    }
  };
  await Promise.all(Array.from({ length: Math.min(at, count) }, worker));
  return values;
}

function secret(): string {
  return randomBytes(24).toString('hex');
}

/** Answers 200 to everything, the wished status to /status/404, and holds /held until it is let go. */
async function startUpstream(): Promise<{
  url: string;
  held: () => number;
  letGo: () => number;
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
  // A thousand connections may come in one moment; one that finds the queue full tries again a second later.
  server.listen({ port: 0, host: '127.0.0.1', backlog: 2_048 });
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    held: () => waiting.length,
    letGo: () => {
      const count = waiting.length;
      for (const response of waiting) response.writeHead(200).end('{}');
      waiting = [];
      return count;
    },
    close: () => void server.close(),
  };
}

import { join } from 'node:path';
import { startClickHouseServer } from '../servers/clickhouse.ts';
import { startKafkaServer } from '../servers/kafka.ts';
import { startRedisServer } from '../servers/redis.ts';
import { allOrNone } from '../servers/all-or-none.ts';
import type { Progress } from './progress.ts';
import type { Provider, Providers, ServerName } from './providers.ts';
import { serverUrlVariables } from './providers.ts';

export interface StackServer {
  readonly name: ServerName;
  readonly provider: Provider;
  /** Value of the environment variable with which services connect to the server: a URL, or a list of brokers. */
  readonly address: string;
  /** Pid of the server; null if it is not a process of this machine. */
  readonly pid: number | null;
  readonly logFile: string | null;
  /** Resolves when the server has exited. Never resolves for an external server. */
  readonly exited: Promise<unknown>;
  stop(): Promise<void>;
}

export interface StackServersOptions {
  readonly providers: Providers;
  readonly env: NodeJS.ProcessEnv;
  /** Path of the installation's `.local`: data, logs and pids. */
  readonly localDir: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Called with each server when it runs, so that the caller can stop it if a later step of the start fails. */
  readonly onStarted: (server: StackServer) => void;
}

const preferredPorts = { redis: 6379, kafka: 9092, clickhouse: 8123 } as const;

/**
 * Starts Redis, Kafka and ClickHouse concurrently. If one fails, waits until no start is running any more,
 * then throws.
 */
export async function startStackServers(
  options: StackServersOptions,
): Promise<Record<ServerName, StackServer>> {
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  const start = (name: ServerName): Promise<StackServer> =>
    options.progress.step(`${titles[name]} (${options.providers[name]})`, async () => {
      const server = await startServer(name, { ...options, signal });
      options.onStarted(server);
      return server;
    });
  const [redis, kafka, clickhouse] = await allOrNone(failure, [
    start('redis'),
    start('kafka'),
    start('clickhouse'),
  ]);
  return { redis, kafka, clickhouse };
}

const titles = { redis: 'Redis', kafka: 'Kafka', clickhouse: 'ClickHouse' } as const satisfies Record<
  ServerName,
  string
>;

function startServer(name: ServerName, options: StackServersOptions): Promise<StackServer> {
  switch (options.providers[name]) {
    case 'external':
      return Promise.resolve(external(name, options.env));
    case 'containers':
      return inContainer(name, options);
    case 'native':
      return native(name, options);
  }
}

function external(name: ServerName, env: NodeJS.ProcessEnv): StackServer {
  const address = env[serverUrlVariables[name]] ?? '';
  return {
    name,
    provider: 'external',
    address,
    pid: null,
    logFile: null,
    exited: never,
    stop: () => Promise.resolve(),
  };
}

async function native(name: ServerName, options: StackServersOptions): Promise<StackServer> {
  const { localDir, progress, signal } = options;
  const common = {
    dir: join(localDir, name),
    say: progress.say.bind(progress),
    port: preferredPorts[name],
    signal,
  };
  const started = await startNative(name, common);
  return {
    name,
    provider: 'native',
    address: started.address,
    pid: started.server.pid,
    logFile: started.server.logFile,
    exited: started.server.exited,
    stop: () => started.server.stop(),
  };
}

async function startNative(name: ServerName, common: Parameters<typeof startClickHouseServer>[0]) {
  if (name === 'redis') {
    const server = await startRedisServer({ ...common, durable: true });
    return { server, address: server.url };
  }
  if (name === 'kafka') {
    const server = await startKafkaServer(common);
    return { server, address: server.brokers };
  }
  const server = await startClickHouseServer(common);
  return { server, address: server.url };
}

async function inContainer(name: ServerName, options: StackServersOptions): Promise<StackServer> {
  // Imported here instead of at the top, because the library searches for a container engine when it is loaded.
  const { startContainer } = await import('../servers/containers.ts');
  const container = await startContainer(name, {
    dir: join(options.localDir, 'containers', name),
    port: preferredPorts[name],
  });
  return { name, provider: 'containers', pid: null, logFile: null, exited: never, ...container };
}

const never = new Promise<never>(() => undefined);

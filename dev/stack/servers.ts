import { join } from 'node:path';
import { startClickHouseServer } from '../servers/clickhouse.ts';
import { startKafkaServer } from '../servers/kafka.ts';
import { startRedisServer } from '../servers/redis.ts';
import { allOrNone } from '../servers/all-or-none.ts';
import { onFreePort } from '../servers/on-free-port.ts';
import type { Say } from '../packages.ts';
import type { Launcher, Running } from './launch.ts';
import type { Provider, Providers, ServerName } from './providers.ts';
import { serverUrlVariables } from './providers.ts';

/** `address`: value of the environment variable with which services connect: a URL, or a list of brokers. */
export interface StackServer extends Running {
  readonly provider: Provider;
  readonly address: string;
}

export interface StackServersOptions {
  readonly providers: Providers;
  readonly env: NodeJS.ProcessEnv;
  /** Path of the installation's `.local`: data, logs and pids. */
  readonly localDir: string;
  /** Deletes the data of containers of earlier starts. */
  readonly fresh: boolean;
  readonly say: Say;
  readonly signal: AbortSignal;
  readonly launcher: Launcher;
  /** Work on a server that begins as soon as this server has started, while others are still starting. */
  readonly prepare: Readonly<Record<'kafka' | 'clickhouse', (address: string) => Promise<void>>>;
}

const preferredPorts = { redis: 6379, kafka: 9092, clickhouse: 8123 } as const;

/**
 * Starts Redis, Kafka and ClickHouse concurrently, and returns their addresses. If one fails, waits until no start is
 * running any more, then throws.
 */
export async function startStackServers(options: StackServersOptions): Promise<Record<ServerName, string>> {
  const failure = new AbortController();
  const first = AbortSignal.any([options.signal, failure.signal]);
  const launch = async (name: ServerName): Promise<string> => {
    const launched = await options.launcher.launch<StackServer>(
      {
        name,
        title: `${titles[name]} (${options.providers[name]})`,
        group: 'servers',
        start: (signal, previous) =>
          startServer(name, previous, { ...options, fresh: options.fresh && previous === null, signal }),
      },
      first,
    );
    return launched?.current().address ?? '';
  };
  const launchAndPrepare = async (name: 'kafka' | 'clickhouse'): Promise<string> => {
    const address = await launch(name);
    await options.prepare[name](address);
    return address;
  };
  const [redis, kafka, clickhouse] = await allOrNone<[string, string, string]>(failure, [
    launch('redis'),
    launchAndPrepare('kafka'),
    launchAndPrepare('clickhouse'),
  ]);
  return { redis, kafka, clickhouse };
}

const titles = { redis: 'Redis', kafka: 'Kafka', clickhouse: 'ClickHouse' } as const satisfies Record<
  ServerName,
  string
>;

/** Starts a server. The services have the address of the previous one, so a new server must have the same address. */
async function startServer(
  name: ServerName,
  previous: StackServer | null,
  options: StackServersOptions,
): Promise<StackServer> {
  const provider = options.providers[name];
  if (provider === 'external') return external(name, options.env);
  const port = previous === null ? preferredPorts[name] : portOf(previous.address);
  const server =
    provider === 'native' ? await native(name, port, options) : await inContainer(name, port, options);
  if (previous === null || server.address === previous.address) return server;
  await server.stop();
  throw new Error(`port ${port} is in use by another program`);
}

function portOf(address: string): number {
  return Number(/:(\d+)$/.exec(address)?.[1]);
}

function external(name: ServerName, env: NodeJS.ProcessEnv): StackServer {
  const address = env[serverUrlVariables[name]] ?? '';
  const exited = new Promise<never>(() => undefined);
  return { provider: 'external', address, pid: null, logFile: null, exited, stop: () => Promise.resolve() };
}

async function native(
  name: ServerName,
  port: number,
  { localDir, say, signal }: StackServersOptions,
): Promise<StackServer> {
  const { server, address } = await startNative(name, { dir: join(localDir, name), say, port, signal });
  const { pid, logFile, exited } = server;
  return { provider: 'native', address, pid, logFile, exited, stop: () => server.stop() };
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

async function inContainer(
  name: ServerName,
  port: number,
  { localDir, say, signal, fresh }: StackServersOptions,
): Promise<StackServer> {
  // Imported here instead of at the top, because the library searches for a container engine when it is loaded.
  const { startContainer } = await import('../servers/containers/start-container.ts');
  const container = await onFreePort(port, (free) =>
    startContainer(name, { stackDir: localDir, port: free, fresh, say, signal }),
  );
  return { provider: 'containers', pid: null, logFile: null, ...container };
}

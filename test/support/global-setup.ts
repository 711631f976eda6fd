import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { TollgateError } from '../../shared/runtime/errors.ts';
import { installPrograms } from '../../dev/packages.ts';
import type { Program } from '../../dev/packages.ts';
import { startClickHouseServer } from '../../dev/servers/clickhouse.ts';
import { startKafkaServer } from '../../dev/servers/kafka.ts';
import { startRedisServer } from '../../dev/servers/redis.ts';
import { hasKafkaLibraries } from '../../dev/servers/kafka-libraries.ts';
import { neededPrograms } from '../../dev/stack/needed-programs.ts';
import type { Provider } from '../../dev/stack/providers.ts';
import { allOrNone } from '../../dev/servers/all-or-none.ts';
import type { ServerProcess } from '../../dev/servers/server-process.ts';
import type { Servers } from './servers.ts';

interface Shared {
  readonly servers: Servers;
  readonly stop: () => Promise<void>;
}

/** The servers of the run. Each vitest project runs this setup, possibly in another instance of this module. */
interface Holder {
  shared: Promise<Shared> | null;
  users: number;
}

const holderKey = Symbol.for('tollgate.test.servers');

/**
 * Starts Redis, Kafka and ClickHouse for the run, or uses those in the environment. The last project stops them. If a
 * program is missing and cannot be installed, the tests that need it fail with its name, and all others run.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const absent: string[] = [];
  await installPrograms(programs[project.name] ?? [], say).catch(note);
  const holder = await acquire().catch(note);
  project.provide('servers', holder?.servers ?? { missing: absent.at(-1) ?? '' });
  return async () => {
    await holder?.release();
    for (const reason of absent) say(`not everything of ${project.name} could run: ${reason}`);
  };

  function note(error: unknown): undefined {
    if (!(error instanceof TollgateError) || error.code !== 'SERVER_MISSING') throw error;
    absent.push(error.message);
    say(error.message);
  }
}

/** Programs that the tests of a project run. They are installed before the tests, whose time is bounded. */
const programs: Readonly<Record<string, readonly Program[]>> = {
  integration: ['redis-cli', 'prometheus', 'promtool', 'prometheus-alertmanager'],
  clients: ['nginx', 'caddy'],
  hostile: ['nginx', 'caddy'],
  browser: ['chromium'],
  e2e: ['nginx', 'prometheus', 'prometheus-alertmanager'],
  faults: ['prometheus', 'prometheus-alertmanager'],
};

async function acquire(): Promise<{ servers: Servers; release: () => Promise<void> }> {
  const holder = runHolder();
  holder.users++;
  const starting = holder.shared ?? startServers(process.env);
  holder.shared = starting;
  const { servers, stop } = await starting;
  return {
    servers,
    release: async () => {
      holder.users--;
      if (holder.users > 0) return;
      holder.shared = null;
      await stop();
    },
  };
}

function runHolder(): Holder {
  const global = globalThis as { [holderKey]?: Holder };
  const holder = global[holderKey] ?? { shared: null, users: 0 };
  global[holderKey] = holder;
  return holder;
}

async function startServers(env: NodeJS.ProcessEnv): Promise<Shared> {
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-test-servers-'));
  const started: ServerProcess[] = [];
  const keep = <Server extends ServerProcess>(server: Server): Server => {
    started.push(server);
    return server;
  };
  const stop = async (): Promise<void> => {
    // The data is removed, so a graceful stop is not needed.
    await Promise.all(started.map((server) => server.kill()));
    await rm(dir, { recursive: true, force: true });
  };
  const startedAt = performance.now();
  try {
    await installPrograms(await serverPrograms(env), say);
    const failure = new AbortController();
    const { signal } = failure;
    const fromEnv = (name: string): Promise<string> | null => (env[name] ? Promise.resolve(env[name]) : null);
    const [redisUrl, kafkaBrokers, clickhouseUrl] = await allOrNone<[string, string, string]>(failure, [
      fromEnv('REDIS_URL') ??
        startRedisServer({ dir: join(dir, 'redis'), say, signal }).then((redis) => keep(redis).url),
      fromEnv('KAFKA_BROKERS') ??
        startKafkaServer({ dir: join(dir, 'kafka'), say, signal }).then((kafka) => keep(kafka).brokers),
      fromEnv('CLICKHOUSE_URL') ??
        startClickHouseServer({ dir: join(dir, 'clickhouse'), say, signal }).then(
          (server) => keep(server).url,
        ),
    ]);
    say(`servers ready in ${Math.round(performance.now() - startedAt)} ms`);
    return { servers: { redisUrl, kafkaBrokers, clickhouseUrl }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** All programs of the servers, so that one message names those that are missing. */
function serverPrograms(env: NodeJS.ProcessEnv): Promise<Program[]> {
  const provider = (name: string): Provider => (env[name] ? 'external' : 'native');
  return neededPrograms(
    {
      redis: provider('REDIS_URL'),
      kafka: provider('KAFKA_BROKERS'),
      clickhouse: provider('CLICKHOUSE_URL'),
    },
    hasKafkaLibraries,
  );
}

function say(line: string): void {
  process.stderr.write(`[servers] ${line}\n`);
}

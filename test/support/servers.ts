import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { inject } from 'vitest';
import { freePort } from '../../dev/servers/free-port.ts';
import { startClickHouseServer } from '../../dev/servers/clickhouse.ts';
import type { RunningClickHouse } from '../../dev/servers/clickhouse.ts';
import { startKafkaServer } from '../../dev/servers/kafka.ts';
import type { RunningKafka } from '../../dev/servers/kafka.ts';
import { startRedisServer } from '../../dev/servers/redis.ts';
import type { RunningRedis } from '../../dev/servers/redis.ts';
import type { ServerProcess } from '../../dev/servers/server-process.ts';

/** The real servers of a test run. All tests share them, so each test uses its own names on them. */
export interface Servers {
  readonly redisUrl: string;
  /** Comma-separated, like `KAFKA_BROKERS`. */
  readonly kafkaBrokers: string;
  readonly clickhouseUrl: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** The reason if the servers could not be started, e.g. because a program is not installed. */
    servers: Servers | { readonly missing: string };
  }
}

export function servers(): Servers {
  const provided = inject('servers');
  if ('missing' in provided) throw new Error(provided.missing);
  return provided;
}

/** A name that no other test uses, such as a tenant or a consumer group: `uniqueName('acme')` → `acme-3f9a0c12`. */
export function uniqueName(stem: string): string {
  return `${stem}-${randomBytes(4).toString('hex')}`;
}

/** The names of one test on the shared servers. The test creates its topics and its database itself. */
export interface Namespace {
  /** `TOLLGATE_TOPIC_PREFIX`; ends in a dot. */
  readonly topicPrefix: string;
  /** `CLICKHOUSE_DATABASE`; a plain identifier. */
  readonly database: string;
  /** `TOLLGATE_KEY_PREFIX`. */
  readonly keyPrefix: string;
}

export function uniqueNamespace(): Namespace {
  const id = randomBytes(5).toString('hex');
  return { topicPrefix: `t${id}.`, database: `t${id}`, keyPrefix: `t${id}` };
}

export interface EventuallyOptions {
  /**
   * Only for a wait that is longer than the default on a loaded machine too. A shorter deadline saves no time, because a wait ends with
   * its success.
   */
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
}

/** The machine of a run may be loaded and slow, so the deadline is far above what any wait needs. */
export const eventuallyMs = 30_000;

/**
 * Repeats `attempt` until it returns a value other than undefined, null and false. The last attempt begins after the deadline, so that a
 * process that stood still until then does not fail unseen. Throws the error of this attempt.
 */
export async function eventually<Value>(
  attempt: () => Value | Promise<Value>,
  { timeoutMs = eventuallyMs, intervalMs = 25 }: EventuallyOptions = {},
): Promise<NonNullable<Value>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const isLast = performance.now() >= deadline;
    let failure: unknown;
    try {
      const value = await attempt();
      if (value !== undefined && value !== null && value !== false) return value;
      failure = new Error(`still ${String(value)} after ${timeoutMs} ms`);
    } catch (error) {
      failure = error;
    }
    if (isLast) throw failure;
    await wait(intervalMs);
  }
}

/** A server that only one test uses, and may kill, pause and restart. */
export type PrivateServer<Running extends ServerProcess> = Omit<Running, 'exited'> & {
  /** Restarts the server with the same port and data. */
  restart(): Promise<void>;
  /** Kills the server and removes its data. */
  dispose(): Promise<void>;
  readonly dir: string;
};

/** `args` are directives for redis-server. With `durable`, the data survives `restart`. */
export function startRedis(
  options: {
    readonly args?: readonly string[];
    readonly durable?: boolean;
    readonly env?: NodeJS.ProcessEnv;
  } = {},
): Promise<PrivateServer<RunningRedis>> {
  return startPrivate((dir, port) => startRedisServer({ ...options, dir, port, say }));
}

/** `properties` override the broker properties of the local stack. The data survives `restart`. */
export function startKafka(
  options: { readonly properties?: Readonly<Record<string, string | number>> } = {},
): Promise<PrivateServer<RunningKafka>> {
  return startPrivate((dir, port) => startKafkaServer({ ...options, dir, port, say }));
}

/** The data survives `restart`, also after a `kill`. */
export function startClickHouse(): Promise<PrivateServer<RunningClickHouse>> {
  return startPrivate((dir, port) => startClickHouseServer({ dir, port, say }));
}

async function startPrivate<Running extends ServerProcess>(
  start: (dir: string, port: number) => Promise<Running>,
): Promise<PrivateServer<Running>> {
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-test-'));
  const port = await freePort();
  let current = await start(dir, port);
  return {
    ...current,
    dir,
    get pid() {
      return current.pid;
    },
    alive: () => current.alive(),
    stop: (graceMs?: number) => current.stop(graceMs),
    kill: () => current.kill(),
    pause: () => current.pause(),
    resume: () => current.resume(),
    async restart() {
      if (current.alive()) await current.kill();
      current = await start(dir, port);
    },
    async dispose() {
      await current.kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

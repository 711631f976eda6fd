import { Cluster } from 'ioredis';
import { Counter, Gauge } from 'prom-client';
import type { Registry } from '../runtime/http/ops.ts';
import { replyWithin } from './client.ts';
import type { RedisClient } from './client.ts';

const intervalMsDefault = 15_000;
const timeoutMs = 1_000;

/** Figures of one Redis server, from its INFO. */
export interface ServerFigures {
  readonly memoryBytes: number;
  /** 0 without a bound. */
  readonly memoryBytesMax: number;
  readonly evictedKeys: number;
  readonly commands: number;
  /** Calls of scripts, and the time that the server spent in them. */
  readonly scriptCalls: number;
  readonly scriptSeconds: number;
}

/**
 * Exports the memory, evictions, commands and own latency of each Redis server. INFO is read at an interval and not at a
 * scrape, so that a Redis that does not answer delays no scrape. While a server does not answer, its series are absent.
 */
export function exportServerMetrics(
  redis: RedisClient,
  { registry, intervalMs = intervalMsDefault }: { readonly registry: Registry; readonly intervalMs?: number },
): { close(): Promise<void> } {
  const latest = new Map<string, ServerFigures>();
  registerMetrics(registry, latest);
  let reading: Promise<void> | null = null;
  const timer = setInterval(poll, intervalMs);
  poll();
  return {
    async close() {
      clearInterval(timer);
      await reading;
    },
  };

  function poll(): void {
    reading ??= read().finally(() => (reading = null));
  }

  async function read(): Promise<void> {
    const servers = redis instanceof Cluster ? redis.nodes('master') : [redis];
    const answers = await Promise.all(
      servers.map(async (server) => {
        const { host = '', port = 0 } = server.options;
        const name = `${host}:${port}`;
        return replyWithin(server.info('everything'), timeoutMs).then(
          (text) => [name, parseInfo(text)] as const,
          () => null,
        );
      }),
    );
    latest.clear();
    for (const answer of answers) if (answer !== null) latest.set(...answer);
  }
}

export function parseInfo(text: string): ServerFigures {
  const fields = new Map(
    text.split(/\r?\n/).map((line): [string, string] => {
      const at = line.indexOf(':');
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  const number = (field: string): number => Number(fields.get(field) ?? 0);
  const scripts = ['eval', 'evalsha', 'fcall'].map((name) => fields.get(`cmdstat_${name}`) ?? '');
  const sum = (key: string): number =>
    scripts
      .flatMap((figures) => figures.split(','))
      .filter((figure) => figure.startsWith(`${key}=`))
      .reduce((total, figure) => total + Number(figure.slice(key.length + 1)), 0);
  return {
    memoryBytes: number('used_memory'),
    memoryBytesMax: number('maxmemory'),
    evictedKeys: number('evicted_keys'),
    commands: number('total_commands_processed'),
    scriptCalls: sum('calls'),
    scriptSeconds: sum('usec') / 1e6,
  };
}

function registerMetrics(registry: Registry, latest: ReadonlyMap<string, ServerFigures>): void {
  const gauge = (name: string, help: string, figure: keyof ServerFigures): void => {
    new Gauge({
      ...{ name, help, labelNames: ['server'], registers: [registry] },
      collect() {
        this.reset();
        for (const [server, figures] of latest) this.set({ server }, figures[figure]);
      },
    });
  };
  const counter = (name: string, help: string, figure: keyof ServerFigures): void => {
    new Counter({
      ...{ name, help, labelNames: ['server'], registers: [registry] },
      collect() {
        this.reset();
        for (const [server, figures] of latest) this.inc({ server }, figures[figure]);
      },
    });
  };
  gauge('tollgate_redis_memory_bytes', 'Memory that a Redis server uses.', 'memoryBytes');
  gauge(
    'tollgate_redis_memory_max_bytes',
    'Memory that a Redis server may use; 0 without a bound.',
    'memoryBytesMax',
  );
  counter(
    'tollgate_redis_evicted_keys_total',
    'Keys that a Redis server evicted because its memory was full. Each may have been a counter.',
    'evictedKeys',
  );
  counter('tollgate_redis_commands_total', 'Commands that a Redis server processed.', 'commands');
  counter('tollgate_redis_script_calls_total', 'Scripts that a Redis server ran.', 'scriptCalls');
  counter(
    'tollgate_redis_script_seconds_total',
    'Time that a Redis server spent in scripts, without network and queue.',
    'scriptSeconds',
  );
}

import { join } from 'node:path';
import type { Say } from '../packages.ts';
import { onFreePort } from './on-free-port.ts';
import { processOptions, startServerProcess } from './server-process.ts';
import type { ServerProcess } from './server-process.ts';

export interface ClickHouseOptions {
  /** Absolute path of the data directory. Only one process at a time can open it. */
  readonly dir: string;
  readonly say: Say;
  readonly port?: number;
  /** Configuration file of the engine that defines users and roles. Absent: there is one user. */
  readonly configFile?: string;
  readonly dieWithParent?: boolean;
  /** Aborts the start. */
  readonly signal?: AbortSignal;
}

export interface RunningClickHouse extends ServerProcess {
  readonly url: string;
  readonly port: number;
}

/** Number of threads. Each thread runs one query at a time, so this is the maximum number of concurrent queries. */
const concurrentQueriesMax = 48;

/**
 * Starts the embedded engine on loopback, with a server for ClickHouse's HTTP protocol (`tools/clickhouse-local`).
 */
export function startClickHouseServer(options: ClickHouseOptions): Promise<RunningClickHouse> {
  return onFreePort(options.port, (port) => startOnPort(port, options));
}

async function startOnPort(port: number, options: ClickHouseOptions): Promise<RunningClickHouse> {
  const url = `http://127.0.0.1:${port}`;
  const started = await startServerProcess({
    name: 'ClickHouse',
    command: process.execPath,
    args: [join(import.meta.dirname, '../../tools/clickhouse-local/main.ts')],
    env: {
      PORT: String(port),
      HOST: '127.0.0.1',
      CLICKHOUSE_DIR: join(options.dir, 'data'),
      ...(options.configFile === undefined ? {} : { CLICKHOUSE_CONFIG: options.configFile }),
      UV_THREADPOOL_SIZE: String(concurrentQueriesMax),
    },
    dir: options.dir,
    logFile: join(options.dir, 'clickhouse.log'),
    ready: async () => (await fetch(`${url}/ping`, { signal: AbortSignal.timeout(1_000) })).ok,
    ports: [port],
    readyTimeoutMs: 60_000,
    ...processOptions(options),
  });
  return { ...started, port, url };
}

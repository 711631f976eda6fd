import { join } from 'node:path';
import type { Say } from '../packages.ts';
import { freePort } from './free-port.ts';
import { processOptions, startServerProcess } from './server-process.ts';
import type { ServerProcess } from './server-process.ts';

export interface ClickHouseOptions {
  /** Absolute folder for its data; one process at a time may open it. */
  readonly dir: string;
  readonly say: Say;
  readonly port?: number;
  /** The engine's own configuration file, for users and roles: it has one user otherwise. */
  readonly configFile?: string;
  readonly dieWithParent?: boolean;
  /** Gives the start up. */
  readonly signal?: AbortSignal;
}

export interface RunningClickHouse extends ServerProcess {
  readonly url: string;
  readonly port: number;
}

/** As many queries may run beside one another as there are threads to wait for them. */
const concurrentQueriesMax = 48;

/** The embedded engine behind ClickHouse's HTTP protocol (`tools/clickhouse-local`), on loopback. */
export async function startClickHouseServer(options: ClickHouseOptions): Promise<RunningClickHouse> {
  const port = await freePort(options.port);
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
    readyTimeoutMs: 60_000,
    ...processOptions(options),
  });
  return { ...started, port, url };
}

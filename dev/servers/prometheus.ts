import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onFreePort } from './on-free-port.ts';
import { processOptions, startServerProcess } from './server-process.ts';
import type { ServerProcess } from './server-process.ts';

export interface MonitorOptions {
  /** Absolute path of the program. */
  readonly command: string;
  readonly dir: string;
  /** Contents of the configuration file, and of the files that it refers to by relative paths. */
  readonly config: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly port?: number;
  readonly signal?: AbortSignal;
}

export interface RunningMonitor extends ServerProcess {
  readonly url: string;
}

const readyTimeoutMs = 60_000;

/** Starts Prometheus on loopback. */
export async function startPrometheusServer(options: MonitorOptions): Promise<RunningMonitor> {
  return startMonitor('prometheus', options, (port, config) => [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(options.dir, 'data')}`,
    '--storage.tsdb.retention.time=7d',
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
}

/** Starts one Alertmanager on loopback, without a cluster. */
export async function startAlertmanagerServer(options: MonitorOptions): Promise<RunningMonitor> {
  return startMonitor('alertmanager', options, (port, config) => [
    `--config.file=${config}`,
    `--storage.path=${join(options.dir, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--cluster.listen-address=',
  ]);
}

async function startMonitor(
  name: string,
  options: MonitorOptions,
  argsOf: (port: number, config: string) => string[],
): Promise<RunningMonitor> {
  const { command, dir, config, files = {}, signal } = options;
  await mkdir(dir, { recursive: true });
  const configFile = join(dir, `${name}.yml`);
  for (const [path, text] of Object.entries(files)) await writeFile(join(dir, path), text);
  await writeFile(configFile, config);
  return onFreePort(options.port, (port) => startOnPort(port));

  async function startOnPort(port: number): Promise<RunningMonitor> {
    const url = `http://127.0.0.1:${port}`;
    const server = await startServerProcess({
      name,
      command,
      args: argsOf(port, configFile),
      dir,
      logFile: join(dir, `${name}.log`),
      ready: async () => (await fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(1_000) })).ok,
      ports: [port],
      readyTimeoutMs,
      ...processOptions(signal === undefined ? {} : { signal }),
    });
    return { ...server, url };
  }
}

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram } from '../packages.ts';
import { freePort } from '../servers/free-port.ts';
import { startServerProcess } from '../servers/server-process.ts';
import type { ServerProcess } from '../servers/server-process.ts';

export interface PrometheusOptions {
  readonly localDir: string;
  /** host:port of each service's metrics as the generated configuration has it, and where it is in this run. */
  readonly addresses: ReadonlyMap<string, string>;
  readonly signal: AbortSignal;
}

export interface RunningPrometheus {
  readonly url: string;
  readonly server: ServerProcess;
}

const preferredPort = 9090;
const generated = join(import.meta.dirname, '..', '..', 'dashboards', 'generated', 'prometheus');

/** Prometheus with the generated rules, where it is installed; null where it is not. */
export async function startPrometheus(options: PrometheusOptions): Promise<RunningPrometheus | null> {
  const command = findProgram('prometheus');
  if (command === null) return null;
  const dir = join(options.localDir, 'prometheus');
  await mkdir(dir, { recursive: true });
  const config = join(dir, 'prometheus.yml');
  await writeFile(config, await configText(options.addresses));
  const port = await freePort(preferredPort);
  const url = `http://127.0.0.1:${port}`;
  const server = await startServerProcess({
    name: 'Prometheus',
    command,
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      '--storage.tsdb.retention.time=7d',
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    dir,
    logFile: join(dir, 'prometheus.log'),
    ready: async () => (await fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(1_000) })).ok,
    readyTimeoutMs: 30_000,
    signal: options.signal,
  });
  return { url, server };
}

async function configText(addresses: ReadonlyMap<string, string>): Promise<string> {
  let text = await readFile(join(generated, 'prometheus.loopback.yml'), 'utf8');
  for (const [written, actual] of addresses) text = text.replaceAll(written, actual);
  return text.replaceAll(
    /^(\s*-\s*)["']?rules\.yml["']?\s*$/gm,
    `$1${JSON.stringify(join(generated, 'rules.yml'))}`,
  );
}

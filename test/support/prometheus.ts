import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { needProgram } from '../../dev/packages.ts';
import { freePort } from '../../dev/servers/free-port.ts';
import { eventually } from './servers.ts';

/** A series of a Prometheus range query. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [seconds: number, value: string])[];
}

export interface RunningPrometheus {
  readonly url: string;
  /** Queries the last 30 seconds with a step of one second. Throws the error of Prometheus for an invalid query. */
  query(promql: string): Promise<Series[]>;
  stop(): Promise<void>;
}

/** A real Prometheus that scrapes the targets (`host:port` by job) once a second. */
export async function startPrometheus(targets: Readonly<Record<string, string>>): Promise<RunningPrometheus> {
  const program = await needProgram('prometheus', (line) => process.stderr.write(`${line}\n`));
  const [dir, port] = [await mkdtemp(join(tmpdir(), 'tollgate-prometheus-')), await freePort()];
  const jobs = Object.entries(targets).map(([name, target]) => ({
    job_name: name,
    static_configs: [{ targets: [target] }],
  }));
  const config = { global: { scrape_interval: '1s', scrape_timeout: '1s' }, scrape_configs: jobs };
  await writeFile(join(dir, 'prometheus.yml'), stringify(config));
  const child = spawn(
    program,
    [
      `--config.file=${join(dir, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  );
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => (await fetch(`${url}/-/ready`)).ok);
  return {
    url,
    query: async (promql) => {
      const now = Date.now() / 1000;
      const body = new URLSearchParams({
        query: promql,
        start: String(now - 30),
        end: String(now),
        step: '1',
      });
      const result = (await (await fetch(`${url}/api/v1/query_range`, { method: 'POST', body })).json()) as {
        readonly status: string;
        readonly error?: string;
        readonly data: { readonly result: Series[] };
      };
      if (result.status !== 'success') throw new Error(`${result.error ?? 'no error text'}: ${promql}`);
      return result.data.result;
    },
    stop: async () => {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

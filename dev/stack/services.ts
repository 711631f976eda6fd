import { join } from 'node:path';
import { compileCacheEnvironment } from './compile-cache/compile-cache.ts';
import { startServerProcess } from '../servers/server-process.ts';
import type { ServerProcess } from '../servers/server-process.ts';

/** Names of the folders of `services/` that run as processes. */
export const serviceNames = ['gateway', 'aggregator', 'reconciler', 'alerter', 'admin', 'console'] as const;
export type ServiceName = (typeof serviceNames)[number];

export interface NodeProcessOptions {
  readonly name: string;
  /** Path of the script, relative to the repository. */
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  /** URL that returns 200 when the process is ready; null if there is none. */
  readonly readyUrl: string | null;
  /** Ports of its listeners, the port of `readyUrl` first. */
  readonly ports?: readonly number[];
  readonly localDir: string;
  readonly signal: AbortSignal;
}

const readyTimeoutMs = 60_000;
const repository = join(import.meta.dirname, '..', '..');

/** Starts a script of this repository as a process. Its log is `.local/log/<name>.log`. */
export function startNodeProcess(options: NodeProcessOptions): Promise<ServerProcess> {
  const { name, script, env, readyUrl, ports = [], localDir, signal } = options;
  return startServerProcess({
    name,
    command: process.execPath,
    args: [script],
    workingDir: repository,
    env: { ...compileCacheEnvironment(localDir), ...env },
    dir: join(localDir, 'run', name),
    logFile: join(localDir, 'log', `${name}.log`),
    ready: () => (readyUrl === null ? Promise.resolve(true) : respondsOk(readyUrl)),
    ports,
    readyTimeoutMs,
    signal,
  });
}

async function respondsOk(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
  await response.arrayBuffer();
  return response.ok;
}

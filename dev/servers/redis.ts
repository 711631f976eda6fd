import { join } from 'node:path';
import { connect } from 'node:net';
import { needProgram } from '../packages.ts';
import type { Say } from '../packages.ts';
import { onFreePort } from './on-free-port.ts';
import { processOptions, startServerProcess } from './server-process.ts';
import type { ServerProcess } from './server-process.ts';

export interface RedisOptions {
  /** Absolute data directory. */
  readonly dir: string;
  readonly say: Say;
  readonly port?: number;
  /**
   * True: Redis writes an append-only file, so that a crash loses at most one second of data. False: Redis stores no
   * data on disk.
   */
  readonly durable?: boolean;
  /** Additional arguments of `redis-server`, e.g. `['--maxmemory', '8mb']`. */
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly dieWithParent?: boolean;
  /** Aborts the start. */
  readonly signal?: AbortSignal;
}

export interface RunningRedis extends ServerProcess {
  readonly url: string;
  readonly port: number;
}

/** Starts the installed `redis-server` on loopback. */
export async function startRedisServer(options: RedisOptions): Promise<RunningRedis> {
  const command = await needProgram('redis-server', options.say);
  return onFreePort(options.port, (port) => startOnPort(command, port, options));
}

async function startOnPort(command: string, port: number, options: RedisOptions): Promise<RunningRedis> {
  const started = await startServerProcess({
    name: 'Redis',
    command,
    args: [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', options.dir, '--daemonize', 'no'],
      ...['--save', '', '--appendonly', options.durable === true ? 'yes' : 'no'],
      ...(options.args ?? []),
    ],
    dir: options.dir,
    logFile: join(options.dir, 'redis.log'),
    ...(options.env === undefined ? {} : { env: options.env }),
    ready: () => answersPing(port),
    ports: [port],
    readyTimeoutMs: 60_000,
    ...processOptions(options),
  });
  return { ...started, port, url: `redis://127.0.0.1:${port}` };
}

/** True when Redis responds with PONG. While Redis loads its file, it responds with an error. */
export function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    const finish = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => finish(false));
    socket.once('error', () => finish(false));
    socket.once('data', (data) => finish(data.toString().startsWith('+PONG')));
  });
}

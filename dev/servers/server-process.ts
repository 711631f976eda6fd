import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { TollgateError } from '../../shared/runtime/errors.ts';
import { isFree } from './free-port.ts';
import { listensOn } from './listening-port.ts';

export interface ServerCommand {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /**
   * Directory of the data and of the file `server.pid`, with which a later start finds a server that was left
   * running.
   */
  readonly dir: string;
  readonly logFile: string;
  /** Resolves with true when the server is ready. A rejection means that it is not ready yet. */
  readonly ready: () => Promise<boolean>;
  /**
   * Ports of the server. It is ready only when it listens on the first of them itself, so that a response of another
   * process on this port is not mistaken for its own. If another process has one of the ports, the start throws
   * `PortTakenError`.
   */
  readonly ports?: readonly number[];
  readonly readyTimeoutMs: number;
  /** Working directory; absent: `dir`. */
  readonly workingDir?: string;
  /** False: the server may keep running after this process has ended. */
  readonly dieWithParent?: boolean;
  /** Aborting it stops the server, and the start throws. */
  readonly signal?: AbortSignal;
}

/** A server that this process started. Functions that stop it may be called several times. */
export interface ServerProcess {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Resolves when the process has exited, with its exit code; null if a signal ended it. */
  readonly exited: Promise<number | null>;
  alive(): boolean;
  /** Sends SIGTERM, then SIGKILL if the process has not exited after `graceMs`. */
  stop(graceMs?: number): Promise<void>;
  /** Sends SIGKILL. */
  kill(): Promise<void>;
  /** Sends SIGSTOP: the server's sockets stay open, but it does not respond. */
  pause(): void;
  resume(): void;
}

/** Removes undefined options. */
export function processOptions(options: {
  readonly dieWithParent?: boolean;
  readonly signal?: AbortSignal;
}): Pick<ServerCommand, 'dieWithParent' | 'signal'> {
  return {
    ...(options.dieWithParent === undefined ? {} : { dieWithParent: options.dieWithParent }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
}

/** Another process listened on the port of a server before the server did. */
export class PortTakenError extends Error {}

const readyPollMs = 50;
const logTailBytes = 2_000;

/** Starts a server and waits until it is ready. If that fails, throws an error with the last lines of its log. */
export async function startServerProcess(server: ServerCommand): Promise<ServerProcess> {
  server.signal?.throwIfAborted();
  await mkdir(server.dir, { recursive: true });
  await mkdir(dirname(server.logFile), { recursive: true });
  await endLeftover(server.dir);
  const started = await spawnServer(server);
  await writeFile(pidFile(server.dir), `${started.pid}\n`);
  try {
    await waitUntilReady(server, started);
  } catch (error) {
    await started.kill();
    throw error;
  }
  return started;
}

/**
 * Stops a server that a killed start left running on this data directory, and that would still lock it. Pids are
 * reused, so the process is stopped only if it runs with this directory.
 */
export async function endLeftover(dir: string): Promise<void> {
  const pid = Number(await readFile(pidFile(dir), 'utf8').catch(() => ''));
  if (!Number.isInteger(pid) || pid <= 1) return;
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
  if (commandLine.includes(dir) || environment.includes(`TOLLGATE_SERVER_DIR=${dir}\0`)) {
    signal(pid, 'SIGCONT');
    signal(pid, 'SIGKILL');
    const deadline = Date.now() + 5_000;
    while (existsSync(`/proc/${pid}/exe`) && Date.now() < deadline) await wait(20);
  }
  await rm(pidFile(dir), { force: true });
}

async function spawnServer(server: ServerCommand): Promise<ServerProcess> {
  // Keeps only the previous log, so that logs do not grow without bound.
  await rename(server.logFile, `${server.logFile}.previous`).catch(() => undefined);
  const log = await open(server.logFile, 'a');
  const [command, args] = withParentsDeath(server);
  const child = spawn(command, args, {
    cwd: server.workingDir ?? server.dir,
    env: { ...process.env, ...server.env, TOLLGATE_SERVER_DIR: server.dir },
    stdio: ['ignore', log.fd, log.fd],
    // The server gets its own process group. Ctrl-C then reaches only this process, which stops the servers in order.
    detached: true,
  });
  const exited = new Promise<number | null>((resolve) => void child.once('exit', resolve));
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  await log.close();
  const pid = child.pid!;
  let gone = false;
  void exited.then(() => (gone = true));
  child.unref();
  const kill = async (): Promise<void> => {
    // A server does not keep this process running, unless this process waits for the server's exit.
    if (!gone) child.ref();
    if (!gone) signal(pid, 'SIGKILL');
    await exited;
  };
  return {
    name: server.name,
    pid,
    logFile: server.logFile,
    exited,
    alive: () => !gone,
    kill,
    async stop(graceMs = 10_000) {
      if (gone) return;
      signal(pid, 'SIGCONT');
      signal(pid, 'SIGTERM');
      child.ref();
      const patience = new AbortController();
      const waited = wait(graceMs, undefined, { signal: patience.signal }).catch(() => undefined);
      await Promise.race([exited, waited]);
      patience.abort();
      await kill();
    },
    pause: () => signal(pid, 'SIGSTOP'),
    resume: () => signal(pid, 'SIGCONT'),
  };
}

/** On Linux, the kernel kills the server when its parent process is killed. */
function withParentsDeath({ command, args, dieWithParent }: ServerCommand): [string, string[]] {
  const setpriv = '/usr/bin/setpriv';
  if (dieWithParent === false || !existsSync(setpriv)) return [command, [...args]];
  return [setpriv, ['--pdeathsig', 'SIGKILL', '--', command, ...args]];
}

async function waitUntilReady(server: ServerCommand, started: ServerProcess): Promise<void> {
  const deadline = Date.now() + server.readyTimeoutMs;
  while (Date.now() < deadline) {
    server.signal?.throwIfAborted();
    if (!started.alive()) break;
    const isReady = (await server.ready().catch(() => false)) && (await answersItself(server, started));
    if (isReady && started.alive()) return;
    await wait(readyPollMs);
  }
  await throwIfPortTaken(server, started);
  const reason = started.alive()
    ? `did not answer within ${server.readyTimeoutMs} ms`
    : 'ended while starting';
  throw new TollgateError(
    'SERVER_MISSING',
    `${server.name} ${reason}. The end of ${server.logFile}:\n${await tailOf(server.logFile)}`,
  );
}

async function answersItself({ ports = [] }: ServerCommand, { pid }: ServerProcess): Promise<boolean> {
  const [port] = ports;
  return port === undefined || (await listensOn(pid, port)) !== false;
}

async function throwIfPortTaken({ name, ports = [] }: ServerCommand, { pid }: ServerProcess): Promise<void> {
  for (const port of ports) {
    if ((await isFree(port)) || (await listensOn(pid, port)) === true) continue;
    throw new PortTakenError(`${name}: another process listens on port ${port}`);
  }
}

/** The last lines of a log, for an error message. */
export async function tailOf(logFile: string): Promise<string> {
  const text = await readFile(logFile, 'utf8').catch(() => '');
  return text.slice(-logTailBytes).trim();
}

function pidFile(dir: string): string {
  return join(dir, 'server.pid');
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // The process has already exited.
  }
}

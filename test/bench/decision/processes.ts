import { execFile, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Contender, Keys } from './contenders.ts';

export interface RunningContender {
  readonly port: number;
  /** CPU time of the process in seconds, with a resolution of 10 ms. */
  cpuSeconds(): number;
  stop(): Promise<void>;
}

const canPin = spawnSync('taskset', ['-V']).status === 0;
export const serverCore = 0;
/** The core that Redis and the load generator share. */
export const otherCore = 1;

export async function startContender(contender: Contender, redisUrl: string): Promise<RunningContender> {
  const script = join(import.meta.dirname, 'server.ts');
  const [command, args] = pinned(serverCore, process.execPath, [script, contender, redisUrl]);
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (line: Buffer) => resolve(Number(line.toString())));
    child.once('exit', (code) => reject(new Error(`${contender} ended with ${String(code)}`)));
  });
  return {
    port,
    cpuSeconds: () => cpuSecondsOf(child.pid ?? 0),
    stop: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) resolve();
        child.once('exit', () => resolve());
        child.stdin.end();
      }),
  };
}

/** Returns the requests per second of a closed loop of 32 connections, which sends the requests of the API keys in turn. */
export async function measureThroughput(
  port: number,
  seconds: number,
  dir: string,
  { first, count }: Keys = { first: 0, count: 100 },
): Promise<number> {
  const key = `{ ['x-api-key'] = 'tgk_' .. i }`;
  return runWrk(
    port,
    seconds,
    dir,
    `for i = ${first}, ${first + count - 1} do add(wrk.format('GET', '/', ${key})) end`,
  );
}

/** The same for requests that Lua code adds by `add(request)`. */
export async function runWrk(port: number, seconds: number, dir: string, init: string): Promise<number> {
  const script = join(dir, `requests-${port}.lua`);
  await writeFile(
    script,
    `local requests, next = {}, 0
local function add(text) requests[#requests + 1] = text end
function init()
  ${init}
end
function request()
  next = next % #requests + 1
  return requests[next]
end
`,
  );
  const url = `http://127.0.0.1:${port}/`;
  const [command, args] = pinned(otherCore, 'wrk', ['-t1', '-c32', `-d${seconds}s`, '-s', script, url]);
  const { stdout } = await promisify(execFile)(command, args);
  if (stdout.includes('Non-2xx')) throw new Error(`Not every response was a 200:\n${stdout}`);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
  if (rate === undefined) throw new Error(`wrk printed no rate:\n${stdout}`);
  return Number(rate);
}

/** User and system time from /proc/<pid>/stat, in ticks of 10 ms. The fields follow the process's name in brackets. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

export function openLoopCommand(
  port: number,
  rate: number,
  seconds: number,
  { first, count }: Keys,
): [string, string[]] {
  const script = join(import.meta.dirname, 'open-loop.ts');
  return pinned(otherCore, process.execPath, [script, ...[port, rate, seconds, first, count].map(String)]);
}

export function pinToOtherCore(pid: number): void {
  pinToCore(otherCore, pid);
}

/** Moves all threads of a process to one core. */
export function pinToCore(core: number, pid: number): void {
  if (canPin) spawnSync('taskset', ['-a', '-p', '-c', String(core), String(pid)]);
}

export function pinned(core: number, command: string, args: readonly string[]): [string, string[]] {
  return canPin ? ['taskset', ['-c', String(core), command, ...args]] : [command, [...args]];
}

import { execFile, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Contender } from './contenders.ts';

export interface RunningContender {
  readonly port: number;
  /** CPU time of the process in seconds, with a resolution of 10 ms. */
  cpuSeconds(): number;
  stop(): Promise<void>;
}

const canPin = spawnSync('taskset', ['-V']).status === 0;
export const serverCore = 0;
/** The core that Redis and the load generator share. */
const otherCore = 1;

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
        child.once('exit', () => resolve());
        child.stdin.end();
      }),
  };
}

/** Returns the requests per second of a closed loop of 32 connections, which sends the requests of the tenants in turn. */
export async function measureThroughput(
  port: number,
  seconds: number,
  dir: string,
  tenants = 100,
): Promise<number> {
  const script = join(dir, 'tenants.lua');
  await writeFile(
    script,
    `local requests = {}
function init()
  for i = 0, ${tenants - 1} do requests[i + 1] = wrk.format('GET', '/', { ['x-api-key'] = 'tgk_' .. i }) end
end
local next = 0
function request()
  next = next % ${tenants} + 1
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

export function openLoopCommand(port: number, rate: number, seconds: number): [string, string[]] {
  const script = join(import.meta.dirname, 'open-loop.ts');
  return pinned(otherCore, process.execPath, [script, String(port), String(rate), String(seconds)]);
}

export function pinToOtherCore(pid: number): void {
  if (canPin) spawnSync('taskset', ['-p', '-c', String(otherCore), String(pid)]);
}

function pinned(core: number, command: string, args: readonly string[]): [string, string[]] {
  return canPin ? ['taskset', ['-c', String(core), command, ...args]] : [command, [...args]];
}

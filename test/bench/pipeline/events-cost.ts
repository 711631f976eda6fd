import { spawn } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { median, table } from '../bench.ts';
import type { BenchOptions } from '../bench.ts';
import { cpuSecondsOf, measureThroughput, serverCore } from '../decision/processes.ts';
import { createUndisturbed } from '../decision/undisturbed.ts';
import type { Undisturbed } from '../decision/undisturbed.ts';

interface Round {
  readonly rate: number;
  /** CPU time of the gateway per request, until Kafka has the last event. */
  readonly micros: number;
}

/** Runs the same gateway with and without events in turn: the difference is the cost of writing and sending events. */
export async function eventsCost(redisUrl: string, brokers: string, options: BenchOptions): Promise<string> {
  const rounds = options.quick ? 1 : 4;
  const undisturbed = createUndisturbed(serverCore, options.waits);
  const [on, off]: [Round[], Round[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    // Every other round runs in reverse order, so that a machine that slows down favours neither.
    for (const events of round % 2 === 0 ? [false, true] : [true, false]) {
      const spool = events ? await mkdtemp(join(options.dir, 'spool-')) : '-';
      const measured = await measureRound([redisUrl, brokers, spool], undisturbed, options);
      (events ? on : off).push(measured);
      options.say(
        `  events ${events ? 'on' : 'off'}: ${measured.rate.toFixed(0)}/s, ${measured.micros.toFixed(1)} µs`,
      );
    }
  }
  const ratio = (key: keyof Round): number =>
    median(on.map((round, index) => round[key] / (off[index]?.[key] ?? NaN)));
  options.record('eventsOnToOff', ratio('rate'));
  options.record('pluginMicros', median(on.map(({ micros }) => micros)));
  const row = (name: string, own: readonly Round[]): string[] => [
    name,
    median(own.map(({ rate }) => rate)).toFixed(0),
    median(own.map(({ micros }) => micros)).toFixed(1),
  ];
  return [
    'The gateway’s check (API key, three windows, all headers) in a closed loop of 32 connections, the gateway on one core, ' +
      `Redis, Kafka and the load on the other; ${rounds} interleaved rounds, medians. The CPU time of the gateway’s ` +
      'process includes the time until Kafka has the last event.',
    table(
      ['', 'requests/s', 'gateway CPU µs a request'],
      [
        row('events off', off),
        row('events on', on),
        ['on ÷ off, round by round', ratio('rate').toFixed(2), ratio('micros').toFixed(2)],
      ],
    ),
    undisturbed.report(),
  ].join('\n\n');
}

async function measureRound(
  args: readonly string[],
  undisturbed: Undisturbed,
  { quick, dir }: BenchOptions,
): Promise<Round> {
  const seconds = quick ? 2 : 4;
  const script = join(import.meta.dirname, 'gateway.ts');
  const child = spawn('taskset', ['-c', String(serverCore), process.execPath, script, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const pid = child.pid ?? 0;
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (line: Buffer) => resolve(Number(line.toString())));
    child.once('exit', (code) => reject(new Error(`the gateway ended with ${String(code)}`)));
  });
  await measureThroughput(port, 1, dir);
  await untilIdle(pid);
  const cpuSeconds = (): number => cpuSecondsOf(pid);
  const { rate, micros } = await undisturbed.measure({ cpuSeconds }, async () => {
    const before = cpuSeconds();
    const measured = await measureThroughput(port, seconds, dir);
    await untilIdle(pid);
    return { rate: measured, micros: ((cpuSeconds() - before) * 1e6) / (measured * seconds) };
  });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.stdin.end();
  await gone;
  return { rate, micros };
}

const sampleMs = 500;
const idleShare = 0.04;

/** Waits until the process has sent its last event, after which it uses almost no CPU time. */
async function untilIdle(pid: number): Promise<void> {
  for (let used = Infinity; used > (sampleMs / 1000) * idleShare;) {
    const before = cpuSecondsOf(pid);
    await new Promise((resolve) => setTimeout(resolve, sampleMs));
    used = cpuSecondsOf(pid) - before;
  }
}

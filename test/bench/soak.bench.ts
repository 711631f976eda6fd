import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { median, table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { describeResponses, loadAndWatch, startWholePath } from './pipeline/whole-path.ts';
import type { WholePath } from './pipeline/whole-path.ts';

const rate = 2_000;
const warmUpSeconds = 20;
const sampleMs = 1_000;

/** Resident memory of every process under constant load for TOLLGATE_SOAK_SECONDS, sampled every second. */
export const bench: Bench = {
  name: 'soak',
  title: 'Memory under lasting load',
  isPartOfTable: false,
  async run({ dir, quick, say }: BenchOptions) {
    const seconds = Number(process.env['TOLLGATE_SOAK_SECONDS'] ?? (quick ? 60 : 600));
    const path = await startWholePath(dir, say);
    try {
      await loadAndWatch(path, rate, warmUpSeconds);
      const { samples, stop } = sampleMemory(path);
      const fresh = await loadAndWatch(path, rate, seconds);
      stop();
      return [
        `All services and servers at ${fresh.perSecond.toFixed(0)} requests/s of 100 tenants for ${seconds} s after ` +
          `${warmUpSeconds} s of warm-up (${describeResponses(fresh)}); ` +
          `resident memory in MiB, sampled every second. First, middle and last are medians of a tenth of ` +
          `the run each. Responses were counted in the totals after p50 ${fresh.p50.toFixed(0)} ms, p99 ${fresh.p99.toFixed(0)} ms; load ` +
          `average ${loadavg()[0]?.toFixed(1) ?? '?'}.`,
        table(
          ['process', 'first', 'middle', 'last', 'lowest', 'highest', 'last ÷ middle'],
          [...samples].map(([name, values]) => rowOf(name, values)),
        ),
      ].join('\n\n');
    } finally {
      await path.stop();
    }
  },
};

function sampleMemory({ processes }: WholePath): {
  samples: ReadonlyMap<string, readonly number[]>;
  stop: () => void;
} {
  const samples = new Map([...processes.keys()].map((name) => [name, [] as number[]]));
  const timer = setInterval(() => {
    for (const [name, pid] of processes) samples.get(name)?.push(residentMebibytes(pid));
  }, sampleMs);
  return { samples, stop: () => clearInterval(timer) };
}

function residentMebibytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

function rowOf(name: string, values: readonly number[]): string[] {
  const tenth = Math.max(1, Math.floor(values.length / 10));
  const middleAt = Math.floor((values.length - tenth) / 2);
  const first = median(values.slice(0, tenth));
  const middle = median(values.slice(middleAt, middleAt + tenth));
  const last = median(values.slice(-tenth));
  const figures = [first, middle, last, Math.min(...values), Math.max(...values)];
  return [name, ...figures.map((value) => value.toFixed(0)), (last / middle).toFixed(2)];
}

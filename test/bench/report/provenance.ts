import { execFileSync } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';
import type { MeasuredCapacity } from '../../../services/cli/capacity/measured-capacity.ts';

export type Provenance = Omit<MeasuredCapacity, 'figures'>;

/** Where and when the figures of this run were measured. */
export function provenance(): Provenance {
  const cpu = cpus()[0]?.model.trim() ?? 'unknown processor';
  return {
    machine: `${cpus().length} cores (${cpu}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`,
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
    date: new Date().toISOString().slice(0, 10),
    loadAverage: Number(loadavg()[0]?.toFixed(1)),
  };
}

export function sentenceOf({ machine, commit, date, loadAverage }: Provenance): string {
  return `Measured at commit \`${commit}\` on ${date}: ${machine}; load average at the end ${loadAverage}.`;
}

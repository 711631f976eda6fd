import type { KafkaConfig } from './environment.ts';

export interface Flag {
  readonly type: 'string' | 'boolean';
  readonly help: string;
}

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

export interface Invocation {
  readonly operands: readonly string[];
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly nowMs: number;
  /** Reads the variables of the connection to Kafka; throws CONFIG_INVALID. */
  readonly kafka: () => KafkaConfig;
  readonly call: <Answer>(method: Method, path: string, body?: object) => Promise<Answer>;
}

export interface Report {
  /** For `--json`. */
  readonly data: unknown;
  /** For people. */
  readonly text: string;
  /** True when the command ran and what it found is bad: exit code 1. */
  readonly failed?: boolean;
}

export interface Command {
  /** One or two words. */
  readonly name: string;
  /** What follows the name, e.g. `ID --limit NAME`. */
  readonly synopsis: string;
  readonly summary: string;
  /** Fewest and most words after the name. */
  readonly operands: readonly [number, number];
  readonly flags?: Readonly<Record<string, Flag>>;
  readonly example?: string;
  run(invocation: Invocation): Promise<Report>;
}

/** The command line was not understood: exit code 2, with the command's help. */
export class UsageError extends Error {}

/** A flag's text; throws UsageError when it is missing. */
export function needed(invocation: Invocation, name: string): string {
  const value = invocation.flags[name];
  if (typeof value !== 'string' || value === '') throw new UsageError(`--${name} is missing.`);
  return value;
}

export function optional(invocation: Invocation, name: string): string | undefined {
  const value = invocation.flags[name];
  return typeof value === 'string' ? value : undefined;
}

export function operand(invocation: Invocation, index: number): string {
  return invocation.operands[index] ?? '';
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `7d` from now, as ISO 8601. */
export function endAfter(span: string, nowMs: number): string {
  const [, count, unit] = /^([1-9]\d{0,5})([smhd])$/.exec(span) ?? [];
  if (count === undefined || unit === undefined)
    throw new UsageError(`“${span}” is no length of time; write 30m, 12h or 7d.`);
  return new Date(nowMs + Number(count) * (unitMs[unit] ?? 0)).toISOString();
}

/** A plain table; the columns are as wide as they need to be. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const all = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

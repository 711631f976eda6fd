import { spanMs } from '../../shared/domain/time/duration.ts';
import { readInstant } from '../../shared/domain/time/instant.ts';
import type { ClickHouseConfig, KafkaConfig } from './environment.ts';

export interface Flag {
  readonly type: 'string' | 'boolean';
  readonly help: string;
  /** The values that the flag accepts, for shell completion; absent: any. */
  readonly values?: readonly string[];
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface Invocation {
  readonly operands: readonly string[];
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly nowMs: number;
  /** Reads the environment variables for the connection to Kafka. Throws CONFIG_INVALID. */
  readonly kafka: () => KafkaConfig;
  /** Reads the environment variables for the connection to ClickHouse. Throws CONFIG_INVALID. */
  readonly clickhouse: () => ClickHouseConfig;
  readonly call: <Answer>(method: Method, path: string, body?: object) => Promise<Answer>;
  /** Prints a part of the output before the command ends. */
  readonly print: (part: Pick<Report, 'data' | 'text'>) => void;
  /** The same, but the texts of the answer keep their line breaks and control characters: for the text of a file. */
  readonly callUnchanged: Invocation['call'];
}

export interface Report {
  /** For `--json`. */
  readonly data: unknown;
  /** Output for the terminal. */
  readonly text: string;
  /** True if the command succeeded but reports a problem, e.g. a loss. The exit code is then 1. */
  readonly failed?: boolean;
}

export interface Command {
  /** Name of the command: one or two words. */
  readonly name: string;
  /** Operands and flags, e.g. `ID --limit NAME`. */
  readonly synopsis: string;
  readonly summary: string;
  /** Minimum and maximum number of operands that the command accepts. */
  readonly operands: readonly [number, number];
  readonly flags?: Readonly<Record<string, Flag>>;
  readonly example?: string;
  run(invocation: Invocation): Promise<Report>;
}

/** The command line is invalid. The exit code is 2, and the help of the command is printed. */
export class UsageError extends Error {}

/** Text of a required flag. Throws UsageError if the flag is missing. */
export function required(invocation: Invocation, name: string): string {
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

/** End of a duration that starts now (`7d`), as ISO 8601. */
export function endAfter(span: string, nowMs: number): string {
  const durationMs = spanMs(span);
  if (durationMs === null) throw new UsageError(`“${span}” is not a duration; write 30m, 12h or 7d.`);
  return new Date(nowMs + durationMs).toISOString();
}

/** A time, or a duration before now. */
export function timeOf(text: string, nowMs: number): string {
  const instantMs = readInstant(text);
  const agoMs = text === '0m' ? 0 : spanMs(text);
  if (instantMs === null && agoMs === null)
    throw new UsageError(`“${text}” is not a time; write 2026-01-31T12:00:00Z, or 24h for a day ago.`);
  return new Date(instantMs ?? nowMs - (agoMs ?? 0)).toISOString();
}

/** A table as plain text. The longest cell of a column determines its width. */
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

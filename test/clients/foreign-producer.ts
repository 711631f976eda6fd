import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pythonBin } from '../../dev/python-packages.ts';

export interface ForeignRecord {
  readonly topic: string;
  readonly partition?: number;
  readonly key?: Buffer | string | null;
  /** A number stands for so many zero bytes. */
  readonly value?: Buffer | string | number | null;
  readonly headers?: readonly (readonly [string, Buffer | string | null])[];
  /** Unix milliseconds. */
  readonly timestamp?: number;
}

export interface ForeignJob {
  readonly records: readonly ForeignRecord[];
  /** Settings of librdkafka, e.g. `compression.type`. */
  readonly config?: Readonly<Record<string, string | number>>;
  readonly transaction?: 'commit' | 'abort' | 'open';
}

export type ForeignPlace =
  { readonly partition: number; readonly offset: number } | { readonly error: string };

/** Produces with librdkafka through confluent-kafka; the records of a job go in one batch for each partition. */
export async function produceForeign(
  brokers: string,
  jobs: readonly ForeignJob[],
): Promise<readonly (readonly ForeignPlace[])[]> {
  const python = join(await pythonBin('clients', (line) => process.stderr.write(`${line}\n`)), 'python');
  const child = spawn(python, [join(import.meta.dirname, 'produce.py'), brokers], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(JSON.stringify(jobs.map(jobText)));
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (child.exitCode !== 0) throw new Error(`produce.py ended with ${String(child.exitCode)}:\n${output}`);
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as readonly ForeignPlace[]);
}

function jobText({ records, config = {}, transaction }: ForeignJob): object {
  return {
    config,
    ...(transaction === undefined ? {} : { transaction }),
    records: records.map(({ key = null, value = null, headers = [], ...rest }) => ({
      ...rest,
      key: encoded(key),
      ...(typeof value === 'number' ? { value_bytes: value } : { value: encoded(value) }),
      headers: headers.map(([name, content]) => [name, encoded(content)]),
    })),
  };
}

function encoded(content: Buffer | string | null): string | null {
  return content === null ? null : Buffer.from(content).toString('base64');
}

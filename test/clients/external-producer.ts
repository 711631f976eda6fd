import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pythonBin } from '../../dev/python-packages.ts';

export interface ExternalRecord {
  readonly topic: string;
  readonly partition?: number;
  readonly key?: Buffer | string | null;
  /** A number stands for a value of this length in which every byte is 0. */
  readonly value?: Buffer | string | number | null;
  readonly headers?: readonly (readonly [string, Buffer | string | null])[];
  /** Timestamp of the record in Unix milliseconds. */
  readonly timestamp?: number;
}

export interface ExternalJob {
  readonly records: readonly ExternalRecord[];
  /** Settings of librdkafka, e.g. `compression.type`. */
  readonly config?: Readonly<Record<string, string | number>>;
  readonly transaction?: 'commit' | 'abort' | 'open';
}

export type RecordMetadata =
  { readonly partition: number; readonly offset: number } | { readonly error: string };

/**
 * Produces with librdkafka through confluent-kafka. The records of one job are sent as one record batch for each
 * partition.
 */
export async function produceExternally(
  brokers: string,
  jobs: readonly ExternalJob[],
): Promise<readonly (readonly RecordMetadata[])[]> {
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
    .map((line) => JSON.parse(line) as readonly RecordMetadata[]);
}

function jobText({ records, config = {}, transaction }: ExternalJob): object {
  return {
    config,
    ...(transaction === undefined ? {} : { transaction }),
    records: records.map(({ key = null, value = null, headers = [], ...position }) => ({
      ...position,
      key: encoded(key),
      ...(typeof value === 'number' ? { value_bytes: value } : { value: encoded(value) }),
      headers: headers.map(([name, content]) => [name, encoded(content)]),
    })),
  };
}

function encoded(content: Buffer | string | null): string | null {
  return content === null ? null : Buffer.from(content).toString('base64');
}

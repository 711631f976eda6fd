import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pythonBin } from '../../../dev/python-packages.ts';

export interface FuzzTarget {
  /** URL of the OpenAPI document. Its operations have the same origin. */
  readonly documentUrl: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Regular expression of the paths that are not tested. */
  readonly except?: string;
}

export interface FuzzBounds {
  readonly seconds: number;
  readonly seed: number;
}

export interface FuzzReport {
  /** Exit code of schemathesis: 0 if no check failed. */
  readonly code: number | null;
  readonly requests: number;
  /** Number of checked responses by status. */
  readonly statuses: ReadonlyMap<number, number>;
  readonly text: string;
}

/** Checks of every response: no 5xx, and status, media type and body as documented. */
const checks = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
];

/** Runs schemathesis, a fuzzer of another project, against the OpenAPI document of a listener. */
export async function fuzz(
  { documentUrl, headers, except }: FuzzTarget,
  { seconds, seed }: FuzzBounds,
): Promise<FuzzReport> {
  const bin = await pythonBin('fuzzers', (line) => process.stderr.write(`${line}\n`));
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-fuzz-'));
  const report = join(dir, 'report.ndjson');
  const args = [
    ['run', documentUrl],
    ['--checks', checks.join(',')],
    ['--phases', 'examples,coverage,fuzzing'],
    ['--max-time', String(seconds)],
    ['--seed', String(seed)],
    ['--request-timeout', '20'],
    // Without this option slow responses of a busy machine, and schemas with many constraints, would fail the run.
    ['--suppress-health-check', 'all'],
    ['--warnings', 'off'],
    ['--no-color'],
    ['--report-ndjson-path', report],
    ...(except === undefined ? [] : [['--exclude-path-regex', except]]),
    ...Object.entries(headers).map(([name, value]) => ['-H', `${name}: ${value}`]),
  ].flat();
  try {
    const child = spawn(join(bin, 'st'), args, { cwd: dir, env: { PATH: process.env['PATH'], HOME: dir } });
    let text = '';
    const keep = (chunk: Buffer): void => void (text += chunk.toString());
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const [code] = (await once(child, 'close')) as [number | null];
    const statuses = statusesIn(await readFile(report, 'utf8'));
    return { code, requests: [...statuses.values()].reduce((sum, count) => sum + count, 0), statuses, text };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

interface Scenario {
  readonly ScenarioFinished?: {
    readonly recorder?: {
      readonly interactions?: Readonly<
        Record<string, { readonly response: { readonly status_code: number } | null }>
      >;
    };
  };
}

/** Number of responses by status, read from the lines of the report. Status 0 counts requests without a response. */
function statusesIn(report: string): ReadonlyMap<number, number> {
  const statuses = new Map<number, number>();
  for (const line of report.split('\n')) {
    if (line === '') continue;
    const { ScenarioFinished: scenario } = JSON.parse(line) as Scenario;
    for (const { response } of Object.values(scenario?.recorder?.interactions ?? {})) {
      const status = response?.status_code ?? 0;
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  }
  return statuses;
}

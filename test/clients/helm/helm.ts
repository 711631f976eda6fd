import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments, stringify } from 'yaml';
import { needProgram } from '../../../dev/packages.ts';
import { pythonBin } from '../../../dev/python-packages.ts';

const run = promisify(execFile);
const version = 'v3.16.4';
const chart = join(import.meta.dirname, '..', '..', '..', 'deploy', 'helm', 'tollgate');
export const kubernetesVersion = '1.31';
const outputBytesMax = 64 * 1024 * 1024;

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** Path of Helm, which Go builds once into the user's cache. */
async function helm(): Promise<string> {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const folder = join(cache, 'tollgate', `helm-${version}`);
  const program = join(folder, 'helm');
  if (existsSync(program)) return program;
  const go = await needProgram('go', say);
  say(`building Helm ${version}`);
  await run(go, ['install', `helm.sh/helm/v3/cmd/helm@${version}`], {
    env: { ...process.env, GOBIN: folder },
    timeout: 280_000,
  });
  return program;
}

export async function lint(values: object): Promise<string> {
  return withValues(values, async (file) => {
    const { stdout } = await run(await helm(), ['lint', '--strict', chart, '-f', file]);
    return stdout;
  });
}

/** Renders the chart. Rejects with Helm's message if a value is missing. */
export async function render(values: object): Promise<readonly KubernetesObject[]> {
  return parseAllDocuments(await renderText(values))
    .map((document) => document.toJS() as KubernetesObject | null)
    .filter((object) => object !== null);
}

/** Violations of the schemas of Kubernetes, one a line, and the number of objects that were validated. */
export async function validate(values: object): Promise<readonly string[]> {
  const bin = await pythonBin('kubernetes', say);
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-helm-'));
  try {
    const file = join(dir, 'objects.yaml');
    await writeFile(file, await renderText(values));
    const script = join(import.meta.dirname, 'validate.py');
    const { stdout } = await run(join(bin, 'python'), [script, file, kubernetesVersion]);
    return stdout.trim().split('\n');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function renderText(values: object): Promise<string> {
  return withValues(values, async (file) => {
    const args = ['template', 'shop', chart, '-f', file, '--kube-version', `${kubernetesVersion}.0`];
    const { stdout } = await run(await helm(), args, { maxBuffer: outputBytesMax });
    return stdout;
  });
}

async function withValues<Result>(values: object, use: (file: string) => Promise<Result>): Promise<Result> {
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-helm-'));
  try {
    const file = join(dir, 'values.yaml');
    await writeFile(file, stringify(values));
    return await use(file);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

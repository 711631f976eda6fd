import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

export const run = promisify(execFile);

const root = join(import.meta.dirname, '../../..');

/** A folder outside of the repository in which packages are installed by npm, as a user installs them. */
export interface InstalledPackages {
  readonly dir: string;
  /** Directory of a built package, before it was packed. */
  built(folder: string): string;
  /** Starts a program in the folder. Its output is in `output()`. */
  start(command: string, args: readonly string[], env?: Readonly<Record<string, string>>): StartedProgram;
  remove(): Promise<void>;
}

export interface StartedProgram {
  readonly child: ChildProcess;
  readonly output: () => string;
  /** Resolves with the exit code. */
  readonly exited: Promise<number | null>;
}

/**
 * Builds and packs packages of this repository, and installs the tarballs and `others` from the registry in an empty
 * folder.
 */
export async function installPackages(
  folders: readonly string[],
  others: readonly string[] = [],
): Promise<InstalledPackages> {
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-installed-'));
  const built = (folder: string): string => join(dir, 'built', folder);
  // The compiler runs in another process, because it would delay the timers of this one.
  await run(process.execPath, ['dev/publish/main.ts', ...folders, '--to', join(dir, 'built')], { cwd: root });
  const tarballs: string[] = [];
  for (const folder of folders) {
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', dir], {
      cwd: built(folder),
    });
    const [packed] = JSON.parse(stdout) as [{ readonly filename: string }];
    tarballs.push(join(dir, packed.filename));
  }
  await writeFile(join(dir, 'package.json'), '{ "private": true, "type": "module" }');
  const flags = ['--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', ['install', ...flags, ...tarballs, ...others], { cwd: dir, timeout: 280_000 });
  return {
    dir,
    built,
    start: (command, args, env = {}) => startProgram(dir, command, args, env),
    remove: () => rm(dir, { recursive: true, force: true, maxRetries: 5 }),
  };
}

function startProgram(
  dir: string,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): StartedProgram {
  const child = spawn(command, args, { cwd: dir, env: { PATH: process.env['PATH'], HOME: dir, ...env } });
  let output = '';
  const keep = (chunk: Buffer): void => void (output += chunk.toString());
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  return {
    child,
    output: () => output,
    exited: once(child, 'exit').then(([code]) => code as number | null),
  };
}

/** The blocks of code of a README of `packages/` or a page of `docs/`, in one language. */
export async function codeBlocks(path: string, language: string): Promise<string[]> {
  const text = await readFile(join(root, path), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(
    ([, code = '']) => code,
  );
}

/** The code with a timeout of its TollgateClient that its first call meets too, in a runtime that has just started. */
export function patient(code: string): string {
  const patientCode = code.replace(/onFailure: [^,}\n]+/, '$&, checkTimeoutMs: 20_000');
  if (patientCode === code) throw new Error('The code states no onFailure');
  return patientCode;
}

/** The Node of this machine, which may be older than the one that runs the tests; null if there is no other. */
export async function otherNode(): Promise<string | null> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (folder.includes('node_modules')) continue;
    const version = await run(join(folder, 'node'), ['--version']).then(
      ({ stdout }) => stdout.trim(),
      () => null,
    );
    if (version !== null && version !== process.version) return join(folder, 'node');
  }
  return null;
}

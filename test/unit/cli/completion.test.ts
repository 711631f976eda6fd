import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../../../services/cli/cli.ts';

const run = promisify(execFile);
const unused = (): never => {
  throw new Error('the command must not use this');
};

/** Output and exit code of a command that calls no server. */
async function tollgate(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runCli({
    ...{ args, installation: unused, kafka: unused, clickhouse: unused, actor: 'kim', nowMs: 0 },
    version: '1.2.3',
    out: (text) => void (out += `${text}\n`),
    err: (text) => void (err += `${text}\n`),
  });
  return { code, out, err };
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-completion-'));
  for (const shell of ['bash', 'zsh', 'fish'])
    await writeFile(join(folder, shell), (await tollgate('completion', shell)).out);
});
afterAll(() => rm(folder, { recursive: true }));

/** The candidates of bash for the last of the words. */
async function candidates(...words: string[]): Promise<string[]> {
  const script = `. ${join(folder, 'bash')}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tollgate; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['-c', script, 'bash', 'tollgate', ...words]);
  return stdout.trim().split('\n');
}

/** True if the shell is installed on this machine. */
async function has(shell: string): Promise<boolean> {
  return run(shell, ['-c', 'exit 0']).then(
    () => true,
    () => false,
  );
}

describe('completion in bash', () => {
  test('commands, second words, flags and values are completed', async () => {
    expect(await candidates('')).toEqual(
      expect.arrayContaining(['boost', 'set-plan', 'policy', '--version']),
    );
    expect(await candidates('rese')).toEqual(['reset', 'reservations']);
    expect(await candidates('dead-letters', '')).toEqual(['list', 'show', 'replay']);
    expect(await candidates('boost', 'acme', '--m')).toEqual(['--multiply']);
    expect(await candidates('events', 'tail', '--f')).toEqual(['--follow']);
    expect(await candidates('top', '--by', 'g')).toEqual(['growth']);
    expect(await candidates('top', '--')).toEqual(expect.arrayContaining(['--by', '--json', '--help']));
  });

  test('every command of the help is completed', async () => {
    const names = [...(await tollgate('--help')).out.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => name);
    expect(new Set(await candidates(''))).toEqual(new Set([...names, '--help', '--version']));
  });
});

test.each(['zsh', 'fish'])(
  'the script for %s has no error of syntax, where that shell is installed',
  async (shell) => {
    const { out } = await tollgate('completion', shell);
    expect(out).toContain('set-plan');
    if (await has(shell)) await run(shell, ['-n', join(folder, shell)]);
  },
);

test('another shell is refused with the shells that are supported', async () => {
  expect(await tollgate('completion', 'tcsh')).toMatchObject({
    code: 2,
    err: expect.stringContaining('bash, zsh, fish') as unknown,
  });
});

test('--version prints the version, and nothing is called', async () => {
  expect(await tollgate('--version')).toEqual({ code: 0, out: 'tollgate 1.2.3\n', err: '' });
});

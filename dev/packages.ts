import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { TollgateError } from '../shared/runtime/errors.ts';

/** Programs that the local stack and the tests need, each with the Debian package that contains it. */
export const debianPackages = {
  'redis-server': 'redis-server',
  'redis-cli': 'redis-tools',
  java: 'default-jre-headless',
  mvn: 'maven',
  prometheus: 'prometheus',
  promtool: 'prometheus',
  'prometheus-alertmanager': 'prometheus-alertmanager',
  nginx: 'nginx-light',
  caddy: 'caddy',
  chromium: 'chromium',
  kcat: 'kcat',
  gcc: 'gcc',
  go: 'golang-go',
} as const;

export type Program = keyof typeof debianPackages;

/** Reports a step that takes long. */
export type Say = (line: string) => void;

/** Absolute path of the program; null if it is not installed. */
export function findProgram(program: string): string | null {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter).concat('/usr/sbin', '/usr/local/bin')) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return null;
}

/**
 * Path of the program. If it is missing and this process runs as root on Debian, its package is installed. Otherwise
 * throws `SERVER_MISSING` with the command that installs it.
 */
export async function needProgram(program: Program, say: Say): Promise<string> {
  const found = findProgram(program);
  if (found !== null) return found;
  await installPrograms([program], say);
  const installed = findProgram(program);
  if (installed === null) throw missing([program], 'installed, but not in PATH');
  return installed;
}

/** The programs that are not installed. */
export function missingPrograms(programs: readonly Program[]): Program[] {
  return programs.filter((program) => findProgram(program) === null);
}

/**
 * Installs all missing programs with one command. Throws `SERVER_MISSING`, which names all of them, if this process
 * may not install programs.
 */
export async function installPrograms(programs: readonly Program[], say: Say): Promise<void> {
  const absent = missingPrograms(programs);
  if (absent.length === 0) return;
  const root = process.getuid?.() === 0;
  if (!root || findProgram('apt-get') === null) throw missing(absent, 'not installed');
  const packages = packagesOf(absent);
  say(`installing ${packages.join(', ')} (Debian)`);
  await apt(['update'], absent);
  await apt(['install', '-y', '--no-install-recommends', ...packages], absent);
}

function packagesOf(programs: readonly Program[]): string[] {
  return [...new Set(programs.map((program) => debianPackages[program]))];
}

async function apt(args: readonly string[], programs: readonly Program[]): Promise<void> {
  const child = spawn('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', ...args], {
    // With this setting, Debian does not start the services of the packages that it installs.
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (chunk: Buffer): void => void (output = (output + chunk.toString()).slice(-2_000));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const code = await new Promise((resolve, reject) => child.once('exit', resolve).once('error', reject));
  if (code !== 0) throw missing(programs, `apt-get ${args[0] ?? ''} failed:\n${output}`);
}

function missing(programs: readonly Program[], reason: string): TollgateError {
  const packages = packagesOf(programs).join(' ');
  const advice =
    findProgram('apt-get') === null
      ? `Install them with the package manager of this system; the names of the Debian packages are: ${packages}`
      : `Run: sudo apt-get update && sudo apt-get install -y ${packages}`;
  return new TollgateError('SERVER_MISSING', `${programs.join(', ')}: ${reason}.\n${advice}`);
}

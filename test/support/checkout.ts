import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/** A copy of this repository like a fresh clone, with its packages and without the files of an earlier start. */
export interface Checkout {
  readonly dir: string;
  /** Runs `npm start` in the copy. It starts its own servers and does not use those of the test run. */
  start(args?: readonly string[], env?: Readonly<Record<string, string>>): StartedStack;
  stackFile(): Promise<StackFile | null>;
  /** Returns the ids of all processes that earlier starts in this copy left running. */
  processes(): Promise<number[]>;
  remove(): Promise<void>;
}

export interface StackFile {
  readonly urls: Readonly<Record<string, string>>;
  readonly links: { readonly portal: string; readonly operator: string };
  readonly admin_token: string;
  readonly service_token: string;
  readonly tenants: readonly {
    readonly tenant_id: string;
    readonly plan: string;
    readonly jwt: string;
    readonly api_key: string;
    readonly busy: boolean;
  }[];
  readonly pids: Readonly<Record<string, number>>;
}

export interface StartedStack {
  /** The process id of npm. */
  readonly pid: number;
  readonly output: () => string;
  readonly exited: Promise<number | null>;
  signal(name: NodeJS.Signals): void;
}

const repository = join(import.meta.dirname, '..', '..');
const notCloned = new Set(['node_modules', '.local', '.git']);

export async function copyCheckout(): Promise<Checkout> {
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-checkout-'));
  await cp(repository, dir, { recursive: true, filter: (source) => !notCloned.has(basename(source)) });
  await symlink(join(repository, 'node_modules'), join(dir, 'node_modules'));
  return {
    dir,
    start: (args = [], env = {}) => startIn(dir, args, env),
    async stackFile() {
      const text = await readFile(join(dir, '.local', 'stack.json'), 'utf8').catch(() => null);
      return text === null ? null : (JSON.parse(text) as StackFile);
    },
    processes: () => processesOf(dir),
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

const noServers = { REDIS_URL: '', KAFKA_BROKERS: '', CLICKHOUSE_URL: '' };

function startIn(dir: string, args: readonly string[], env: Readonly<Record<string, string>>): StartedStack {
  const child = spawn('npm', ['start', '--', ...args], {
    cwd: dir,
    env: { ...process.env, ...noServers, STACK: 'native', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (chunk: Buffer): void => void (output += chunk.toString());
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  return {
    pid: child.pid!,
    output: () => output,
    exited: new Promise((resolve) => void child.once('exit', resolve)),
    signal: (name) => void child.kill(name),
  };
}

/**
 * Returns the ids of all processes of a stack whose data is in `dir`. Every process of a stack has the folder in its environment.
 */
export async function processesOf(dir: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
      return environment.includes(`TOLLGATE_SERVER_DIR=${dir}/`) ? [Number(pid)] : [];
    }),
  );
  return found.flat();
}

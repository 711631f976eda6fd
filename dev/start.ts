import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../shared/runtime/errors.ts';
import { greeting } from './stack/greeting/greeting.ts';
import { endLeftovers, releaseLock, takeLock } from './stack/lock.ts';
import { endWithParent } from './servers/parent-process.ts';
import { createProgress } from './stack/progress.ts';
import { runStack } from './stack/run-stack.ts';
import type { Closer } from './stack/launch.ts';
import type { RunningStack } from './stack/run-stack.ts';

/**
 * `npm start`: runs all processes of Tollgate on this machine until it receives Ctrl-C or SIGTERM, then stops them in
 * reverse order. Exits with 0 after a clean stop and with 1 if the start failed.
 */
const startedAt = performance.now();
const repository = join(import.meta.dirname, '..');
/** The package `tollgate` sets the variable to a folder of its user. */
const localDir = process.env['TOLLGATE_LOCAL_DIR'] ?? join(repository, '.local');
const options = readOptions();
const aborting = new AbortController();
const closers: Closer[] = [];
const keepAliveMs = 60_000;
let running = false;
let ending = false;
let exitCode = 0;

process.chdir(repository);
process.on('SIGINT', end);
process.on('SIGTERM', end);
process.on('SIGHUP', end);
endWithParent(end);
await start();

async function start(): Promise<void> {
  await mkdir(localDir, { recursive: true });
  const other = await takeLock(localDir);
  if (other !== null) {
    console.error(`Tollgate is already running here (pid ${other}); its addresses are in .local/stack.json.`);
    process.exit(1);
  }
  closers.push({ group: 'lock', name: 'lock', close: () => releaseLock(localDir) });
  try {
    await endLeftovers(localDir);
    if (options.fresh) await wipe();
    console.log('Starting Tollgate');
    const stack = await runStack({
      env: process.env,
      localDir,
      fresh: options.fresh,
      traffic: options.traffic,
      history: options.history,
      progress: createProgress((line) => console.log(line)),
      signal: aborting.signal,
      onClose: (closer) => void closers.push(closer),
    });
    running = true;
    // Child processes do not keep this process running, so a timer keeps it running until a signal arrives.
    setInterval(() => undefined, keepAliveMs);
    if (!ending) greet(stack);
  } catch (error) {
    // If Ctrl-C interrupts the start, the start throws. That is not reported as a failure.
    if (!ending) {
      console.error(`\n✗ Tollgate did not start: ${messageOf(error)}\n`);
      exitCode = 1;
    }
    ending = true;
  }
  if (ending) await closeAndExit();
}

function greet({ file, movedPorts, missingMonitors }: RunningStack): void {
  const secondsToReady = (performance.now() - startedAt) / 1000;
  console.log(
    greeting({
      stack: file,
      stackPath: '.local/stack.json',
      headersDir: join(localDir, 'headers'),
      moved: movedPorts,
      missing: missingMonitors,
      secondsToReady,
      traffic: options.traffic,
    }),
  );
}

/** During the start, a signal only aborts the start, which then stops all processes that it has started. */
function end(): void {
  if (ending) return;
  ending = true;
  console.log('Stopping …');
  aborting.abort(new Error('the start was aborted'));
  if (running) void closeAndExit();
}

async function closeAndExit(): Promise<void> {
  for (let last = closers.at(-1); last !== undefined; last = closers.at(-1)) {
    const { group } = last;
    const together = closers.splice(closers.findLastIndex((closer) => closer.group !== group) + 1);
    await Promise.all(
      together.map(({ name, close }) =>
        close().catch((error: unknown) => console.error(`${name}: ${messageOf(error)}`)),
      ),
    );
  }
  process.exit(exitCode);
}

/**
 * Deletes the files of earlier starts. Keeps the lock of this start, and the lock of the package installation, which
 * may still be held.
 */
async function wipe(): Promise<void> {
  for (const entry of await readdir(localDir)) {
    if (entry === 'start.pid' || entry === 'prepare.lock') continue;
    const path = join(localDir, entry);
    await rm(path, { recursive: true, force: true }).catch((error: unknown) => {
      // Earlier versions gave containers directories of this machine, which then belong to users of the images.
      throw new Error(`${path} cannot be deleted (${messageOf(error)}); run: sudo rm -rf ${path}`);
    });
  }
}

function readOptions(): { fresh: boolean; traffic: boolean; history: boolean } {
  const usage = `npm start -- [--fresh] [--no-traffic] [--no-history]
  --fresh       wipe .local first
  --no-traffic  no sample calls
  --no-history  an empty database is not filled with sample calls of the past`;
  try {
    const { values } = parseArgs({
      options: {
        fresh: { type: 'boolean' },
        'no-traffic': { type: 'boolean' },
        'no-history': { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
    if (values.help === true) {
      console.log(usage);
      process.exit(0);
    }
    return {
      fresh: values.fresh === true,
      traffic: values['no-traffic'] !== true,
      history: values['no-history'] !== true,
    };
  } catch (error) {
    console.error(`${messageOf(error)}\n${usage}`);
    process.exit(1);
  }
}

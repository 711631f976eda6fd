import { execFile } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { needProgram } from '../../../dev/packages.ts';

/**
 * A wall clock of one or more processes that a test can set. The monotonic clocks of the processes are not affected.
 */
export interface SettableClock {
  /** Environment of the processes that use this clock. */
  readonly env: Readonly<Record<string, string>>;
  /**
   * Sets how far the clock is ahead of the clock of this machine (negative: behind). Running processes use the new time
   * at once.
   */
  set(aheadMs: number): void;
  dispose(): void;
}

/**
 * Builds a small library that processes load before the C library, so that a real server or service runs with a wrong
 * clock.
 */
export async function createSettableClock(aheadMs = 0): Promise<SettableClock> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-clock-'));
  const library = join(dir, 'wall-clock.so');
  const source = fileURLToPath(new URL('wall-clock.c', import.meta.url));
  const gcc = await needProgram('gcc', (line) => void process.stderr.write(`${line}\n`));
  await promisify(execFile)(gcc, ['-shared', '-fPIC', '-O2', '-o', library, source]);
  const path = join(dir, 'ahead-ms');
  const file = openSync(path, 'w+');
  const set = (ms: number): void => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(ms));
    writeSync(file, bytes, 0, bytes.length, 0);
  };
  set(aheadMs);
  return {
    env: { LD_PRELOAD: library, WALL_CLOCK_FILE: path },
    set,
    dispose: () => {
      closeSync(file);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

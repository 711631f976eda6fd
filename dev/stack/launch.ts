import { setTimeout as wait } from 'node:timers/promises';
import { messageOf } from '../../shared/runtime/errors.ts';
import { tailOf } from '../servers/server-process.ts';
import type { Progress } from './progress.ts';

/** A server or a service of the stack, while it runs. */
export interface Running {
  /** Null if it is not a process of this machine. */
  readonly pid: number | null;
  readonly logFile: string | null;
  /** Resolves when it has ended. Never resolves for an external server. */
  readonly exited: Promise<unknown>;
  stop(): Promise<void>;
}

export interface Launch<Process extends Running> {
  readonly name: string;
  /** Name in the list of steps; absent: `name`. */
  readonly title?: string;
  readonly group: Closer['group'];
  /**
   * Starts the process. `previous` is null at the first start. At later starts it is the process that has ended; the
   * new process must have the same address. Resolves with null if there is nothing to start.
   */
  readonly start: (signal: AbortSignal, previous: Process | null) => Promise<Process | null>;
}

export interface Launched<Process extends Running> {
  /** The process that runs, or the last one if it has ended. */
  current(): Process;
  /** Stops the process and starts it no more. */
  stop(): Promise<void>;
}

export interface Closer {
  readonly group: 'lock' | 'servers' | 'upstream' | 'services' | 'file' | 'watchers';
  readonly name: string;
  readonly close: () => Promise<void>;
}

export interface LauncherOptions {
  readonly progress: Progress;
  /** Aborts the first starts. */
  readonly signal: AbortSignal;
  readonly onClose: (closer: Closer) => void;
  /** Called with the pid of each process that has started, also after a restart. */
  readonly onPid: (name: string, pid: number) => Promise<void>;
}

export interface Launcher {
  /** Starts a process, and starts it again when it ends. Throws if the first start fails. */
  launch<Process extends Running>(
    launch: Launch<Process>,
    signal?: AbortSignal,
  ): Promise<Launched<Process> | null>;
}

const pauseMsMin = 250;
const pauseMsMax = 10_000;
/** A process that ran for this time is started again without a longer pause. */
const stableMs = 60_000;

/** Starts the processes of the stack and keeps them running. */
export function createLauncher(options: LauncherOptions): Launcher {
  return { launch };

  async function launch<Process extends Running>(
    { name, title = name, group, start }: Launch<Process>,
    signal: AbortSignal = options.signal,
  ): Promise<Launched<Process> | null> {
    const first = await options.progress.step(title, () => start(signal, null));
    if (first === null) return null;
    const stopping = new AbortController();
    const isStopping = (): boolean => stopping.signal.aborted;
    let running: Process = first;
    const stop = async (): Promise<void> => {
      stopping.abort(new Error(`${name} is being stopped`));
      await kept;
      await running.stop();
    };
    const kept = keepRunning();
    options.onClose({ group, name, close: stop });
    await announce(name, first);
    return { current: () => running, stop };

    async function keepRunning(): Promise<void> {
      let pauseMs = pauseMsMin;
      for (;;) {
        const startedAt = performance.now();
        await Promise.race([running.exited, aborted(stopping.signal)]);
        if (isStopping()) return;
        if (performance.now() - startedAt > stableMs) pauseMs = pauseMsMin;
        await report(name, running, pauseMs);
        pauseMs = await startAgain(pauseMs);
        if (isStopping()) return;
      }
    }

    /** Repeats the start until it succeeds. Returns the pause before the next restart. */
    async function startAgain(firstPauseMs: number): Promise<number> {
      let pauseMs = firstPauseMs;
      while (!isStopping()) {
        await wait(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
        pauseMs = Math.min(pauseMs * 2, pauseMsMax);
        try {
          running = (await start(stopping.signal, running)) ?? running;
          if (isStopping()) return pauseMs;
          await announce(name, running);
          options.progress.say(`✓ ${name} runs again${running.pid === null ? '' : ` (pid ${running.pid})`}`);
          return pauseMs;
        } catch (error) {
          if (isStopping()) return pauseMs;
          options.progress.say(
            `✗ ${name} did not start; next attempt in ${seconds(pauseMs)}. ${messageOf(error)}`,
          );
        }
      }
      return pauseMs;
    }
  }

  async function announce(name: string, { pid }: Running): Promise<void> {
    if (pid !== null) await options.onPid(name, pid);
  }

  async function report(name: string, { logFile }: Running, pauseMs: number): Promise<void> {
    const tail = logFile === null ? '' : await tailOf(logFile);
    const end = tail === '' ? '' : `. The end of ${logFile ?? ''}:\n${tail}`;
    options.progress.say(
      `✗ ${name} has stopped unexpectedly and is started again in ${seconds(pauseMs)}${end}`,
    );
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2).replace(/\.?0+$/, '')} s`;
}

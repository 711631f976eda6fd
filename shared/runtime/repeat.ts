import { setTimeout as wait } from 'node:timers/promises';

export interface Repetition {
  /** Ends the repetition. Resolves when the round that runs now has ended. */
  close(): Promise<void>;
}

/**
 * Runs rounds one after the other until it is closed. A round returns the milliseconds to wait before the next one, and handles
 * its own errors: an error of a round ends the repetition and rejects `close`.
 */
export function repeatUntilClosed(round: () => Promise<number>, firstAfterMs = 0): Repetition {
  const closing = new AbortController();
  const { signal } = closing;
  const running = run();
  return {
    close: async () => {
      closing.abort();
      await running;
    },
  };

  async function run(): Promise<void> {
    if (firstAfterMs > 0) await pause(firstAfterMs);
    while (!signal.aborted) await pause(await round());
  }

  async function pause(ms: number): Promise<void> {
    await wait(ms, undefined, { signal }).catch(() => undefined);
  }
}

import { clearTimeout, setTimeout } from 'node:timers';

/** Resumes all functions that wait for a change. */
export class Signal {
  #waiting: (() => void)[] = [];

  notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  /**
   * Resolves at the next `notify`, or after `timeoutMs`. The timer does not keep the process running, unless
   * `keepsRunning` is true.
   */
  wait(timeoutMs: number | null, keepsRunning = false): Promise<void> {
    return new Promise((resolve) => {
      if (timeoutMs === null) {
        this.#waiting.push(resolve);
        return;
      }
      const timer = setTimeout(resolve, Math.max(1, timeoutMs));
      if (!keepsRunning) timer.unref();
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

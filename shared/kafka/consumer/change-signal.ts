/** Lets waiters continue when something has changed. */
export interface ChangeSignal {
  /** Ends the current waits. Without a waiter it has no effect: a waiter tests its condition before it waits. */
  notify(): void;
  /** Resolves at the next `notify`, at the latest after `timeoutMs`. */
  wait(timeoutMs?: number): Promise<void>;
}

export function createChangeSignal(): ChangeSignal {
  const waiters = new Set<() => void>();
  return {
    notify() {
      for (const finish of waiters) finish();
    },
    wait: (timeoutMs = Infinity) =>
      new Promise((resolve) => {
        const timer = timeoutMs === Infinity ? undefined : setTimeout(finish, Math.ceil(timeoutMs));
        waiters.add(finish);
        function finish(): void {
          clearTimeout(timer);
          waiters.delete(finish);
          resolve();
        }
      }),
  };
}

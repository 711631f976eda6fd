/** Lets one waiter at a time continue when something has changed. */
export interface ChangeSignal {
  /** Ends the current wait. Without a waiter it has no effect: the waiter tests its condition before it waits. */
  notify(): void;
  /** Resolves at the next `notify`, at the latest after `timeoutMs`. */
  wait(timeoutMs?: number): Promise<void>;
}

export function createChangeSignal(): ChangeSignal {
  let finishWait: () => void = () => undefined;
  return {
    notify: () => finishWait(),
    wait: (timeoutMs = Infinity) =>
      new Promise((resolve) => {
        const timer = timeoutMs === Infinity ? undefined : setTimeout(finish, Math.ceil(timeoutMs));
        finishWait = finish;
        function finish(): void {
          clearTimeout(timer);
          resolve();
        }
      }),
  };
}

import { createRequire } from 'node:module';

interface RequestQueue {
  pending: unknown[];
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
}

/** How often a queue that is full, but not throttled, looks for room. Answers wake it too; this is the net below. */
const pendingCheckIntervalMs = 10;

/**
 * kafkajs schedules the next look at its pending requests after every answer, also when nothing is pending, at
 * `throttledUntil - now`. Unthrottled that is minus the Unix time: Node prints a TimeoutNegativeWarning and runs
 * the timer after 1 ms, which schedules the next one, on every connection for as long as it lives.
 * The replacement sets a timer only while something waits, and never a negative one.
 */
export function quietRequestQueue(): void {
  const load = createRequire(import.meta.url);
  const queue = load('kafkajs/src/network/requestQueue/index.js') as { prototype: Record<string, unknown> };
  queue.prototype['scheduleCheckPendingRequests'] = scheduleCheckPendingRequests;
}

function scheduleCheckPendingRequests(this: RequestQueue): void {
  if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return;
  const throttledForMs = this.throttledUntil - Date.now();
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    },
    throttledForMs > 0 ? throttledForMs : pendingCheckIntervalMs,
  );
}

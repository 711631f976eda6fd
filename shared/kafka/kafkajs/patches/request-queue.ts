import { createRequire } from 'node:module';

interface RequestQueue {
  pending: unknown[];
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
}

/** Interval at which a full queue that is not throttled checks for room. A response triggers the check too. */
const pendingCheckIntervalMs = 10;

/**
 * Defect of kafkajs 2.2.4: after every response it schedules the next check of its pending requests at
 * `throttledUntil - now`, also when none is pending. Without throttling that is minus the Unix time. Symptom: Node prints a
 * TimeoutNegativeWarning and runs the timer after 1 ms, and the timer schedules the next one, as long as the connection
 * exists. Here a timer is set only while a request waits, and never a negative one.
 */
export function patchRequestQueue(): void {
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

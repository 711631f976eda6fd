import { createRequire } from 'node:module';

interface RequestQueue {
  pending: unknown[];
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
}

/** Interval at which a full queue checks for room, if it is not throttled. A response also triggers the check. */
const pendingCheckIntervalMs = 10;

/**
 * Defect of kafkajs 2.2.4: after every response it schedules the next check of its pending requests after
 * `throttledUntil - now`, even if no request is pending. Without throttling this delay is minus the Unix time. Symptom:
 * Node prints a TimeoutNegativeWarning and runs the timer after 1 ms, and the timer schedules itself again for as long
 * as the connection exists. The replacement sets a timer only while a request waits, and never with a negative delay.
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

import { createRequire } from 'node:module';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { patchRequestQueue } from '../../../shared/kafka/kafkajs/patches/request-queue.ts';

interface Queue {
  pending: unknown[];
  throttledUntil: number;
  checkPendingRequests(): void;
}

const load = createRequire(import.meta.url);

function newQueue(): Queue {
  const RequestQueue = load('kafkajs/src/network/requestQueue/index.js') as new (options: object) => Queue;
  return new RequestQueue({
    maxInFlightRequests: 1,
    requestTimeout: 1_000,
    enforceRequestTimeout: false,
    logger: {},
  });
}

beforeEach(() => {
  patchRequestQueue();
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a connection with nothing pending sets no timer', () => {
  newQueue().checkPendingRequests();
  expect(vi.getTimerCount()).toBe(0);
});

test('a throttled request is checked when the throttling ends, and not before', () => {
  const queue = newQueue();
  queue.throttledUntil = Date.now() + 400;
  queue.pending.push({});
  queue.checkPendingRequests();
  const sent = vi.spyOn(queue, 'checkPendingRequests').mockReturnValue();
  vi.advanceTimersByTime(399);
  expect(sent).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(sent).toHaveBeenCalledOnce();
});

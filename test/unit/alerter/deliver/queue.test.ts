import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createDeliveryQueue } from '../../../../services/alerter/deliver/queue.ts';
import type { Delivery } from '../../../../shared/domain/topics/delivery.ts';
import { alertOf } from './alert-of.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function delivery(id: string, target: string, changes: Partial<Delivery> = {}): Delivery {
  return {
    alert: alertOf('acme', { id }),
    channel: 'webhook',
    target_id: target,
    target,
    partition: 0,
    status: 'pending',
    attempts: 0,
    next_attempt_ms: 0,
    created_ms: 0,
    updated_ms: 0,
    error: '',
    ...changes,
  };
}

/** Creates a queue whose attempts end when the test ends them. */
function manualQueue(activeMax = 64) {
  const started: { delivery: Delivery; end: (after: Partial<Delivery>) => Promise<void> }[] = [];
  const queue = createDeliveryQueue({
    clock: { now: () => Date.now() },
    activeMax,
    attempt: (one) =>
      new Promise((resolve) => {
        started.push({
          delivery: one,
          end: async (after) => {
            resolve({ ...one, status: 'delivered', ...after });
            await vi.advanceTimersByTimeAsync(0);
          },
        });
      }),
  });
  return {
    queue,
    started,
    names: () => started.map((one) => `${one.delivery.target_id}/${one.delivery.alert.id}`),
  };
}

test('a target has one attempt at a time, in order, and delays no other target', async () => {
  const { queue, started, names } = manualQueue();
  for (const id of ['1', '2', '3']) queue.add(delivery(id, 'slow'));
  queue.add(delivery('4', 'fast'));
  expect(names()).toEqual(['slow/1', 'fast/4']);
  await started[1]!.end({});
  expect(names()).toEqual(['slow/1', 'fast/4']);
  await started[0]!.end({});
  expect(names()).toEqual(['slow/1', 'fast/4', 'slow/2']);
});

test('targets are served round robin when there are more targets than attempts at once', async () => {
  const { queue, started, names } = manualQueue(1);
  for (const id of ['1', '2']) for (const target of ['a', 'b']) queue.add(delivery(id, target));
  for (let index = 0; index < 4; index += 1) await started[index]!.end({});
  expect(names()).toEqual(['a/1', 'b/1', 'a/2', 'b/2']);
});

test('a failed delivery waits for its retry without occupying an attempt', async () => {
  const { queue, started, names } = manualQueue(1);
  queue.add(delivery('1', 'a'));
  queue.add(delivery('2', 'b'));
  await started[0]!.end({ status: 'pending', attempts: 1, next_attempt_ms: Date.now() + 5000 });
  expect(names()).toEqual(['a/1', 'b/2']);
  await started[1]!.end({});
  await vi.advanceTimersByTimeAsync(4999);
  expect(queue.size()).toEqual({ waiting: 1, active: 0 });
  await vi.advanceTimersByTimeAsync(1);
  expect(names()).toEqual(['a/1', 'b/2', 'a/1']);
});

test('the same delivery added twice is attempted once', async () => {
  const { queue, started } = manualQueue();
  for (let index = 0; index < 3; index += 1) queue.add(delivery('1', 'a'));
  queue.add(delivery('2', 'a'));
  queue.add(delivery('2', 'a'));
  await started[0]!.end({});
  await started[1]!.end({});
  expect(started).toHaveLength(2);
  expect(queue.size()).toEqual({ waiting: 0, active: 0 });
});

test('deliveries of a partition that moved away are dropped, except a running attempt', async () => {
  const { queue, started, names } = manualQueue();
  queue.add(delivery('1', 'a', { partition: 1 }));
  queue.add(delivery('2', 'a', { partition: 1 }));
  queue.add(delivery('3', 'a', { partition: 2 }));
  queue.add(delivery('4', 'b', { partition: 1, next_attempt_ms: Date.now() + 1000 }));
  queue.retain(({ partition }) => partition === 2);
  await started[0]!.end({});
  await vi.advanceTimersByTimeAsync(2000);
  expect(names()).toEqual(['a/1', 'a/3']);
});

test('closing starts no attempt and waits for the running ones', async () => {
  const { queue, started, names } = manualQueue();
  queue.add(delivery('1', 'a'));
  queue.add(delivery('2', 'a'));
  const closed = queue.close();
  await started[0]!.end({});
  await closed;
  expect(names()).toEqual(['a/1']);
});

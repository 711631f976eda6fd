import { getActiveResourcesInfo } from 'node:process';
import { expect, test } from 'vitest';
import { within, withinOr } from '../../../shared/runtime/within.ts';

const never = new Promise<never>(() => undefined);

test('work that ends in time gives its own outcome', async () => {
  const failure = new Error('refused');
  await expect(within(Promise.resolve(7), 1_000, 'KAFKA_UNAVAILABLE', 'connecting')).resolves.toBe(7);
  await expect(within(Promise.reject(failure), 1_000, 'KAFKA_UNAVAILABLE', 'connecting')).rejects.toBe(
    failure,
  );
  await expect(withinOr(Promise.resolve(7), 1_000, null)).resolves.toBe(7);
  await expect(withinOr(Promise.reject(failure), 1_000, null)).rejects.toBe(failure);
});

test('work that takes too long rejects with the code of the caller and names the work', async () => {
  await expect(within(never, 5, 'CLOCK_UNREADABLE', 'reading the time')).rejects.toMatchObject({
    code: 'CLOCK_UNREADABLE',
    message: 'reading the time took longer than 5 ms',
  });
});

test('work that takes too long gives the fallback', async () => {
  await expect(withinOr(never, 5, 'nothing')).resolves.toBe('nothing');
});

test('a rejection after the deadline is ignored', async () => {
  const work = Promise.withResolvers<never>();
  await expect(withinOr(work.promise, 5, null)).resolves.toBeNull();
  // An unhandled rejection fails the run.
  work.reject(new Error('too late'));
});

test('the timer is cleared once the work has ended', async () => {
  const before = timers();
  await within(Promise.resolve(), 60_000, 'KAFKA_UNAVAILABLE', 'connecting');
  await within(Promise.reject(new Error('refused')), 60_000, 'KAFKA_UNAVAILABLE', 'connecting').catch(
    () => undefined,
  );
  expect(timers()).toBe(before);
});

function timers(): number {
  return getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
}

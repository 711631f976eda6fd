import { expect, test } from 'vitest';
import { createWaitingSettlements } from '../../../../shared/redis/reservations/waiting-settlements.ts';
import type { Settlement } from '../../../../shared/redis/reservations/waiting-settlements.ts';

function settlementOf(key: string, sequence: number, targets: readonly (number | null)[]): Settlement {
  const record = { key, tag: '{acme}', bytes: Buffer.alloc(0), part: null, details: '', endsAtMs: 0 };
  return { record, operation: 'settle', sequence, targets, charged: [1, 500] };
}

test('at most the maximum of settlements wait, and a further one is refused', () => {
  const waiting = createWaitingSettlements(2);
  expect(waiting.add(settlementOf('a', 1, [null, 1]))).toBe(true);
  expect(waiting.add(settlementOf('b', 1, [null, 1]))).toBe(true);
  expect(waiting.add(settlementOf('c', 1, [null, 1]))).toBe(false);
  // A newer settlement of a record that waits already takes its place.
  expect(waiting.add(settlementOf('b', 2, [null, 2]))).toBe(true);
  expect(waiting.size()).toBe(2);
});

test('settlements of one record become one, with the newest amount of each quantity', () => {
  const waiting = createWaitingSettlements();
  waiting.add(settlementOf('a', 2, [null, 20, null]));
  waiting.add(settlementOf('a', 1, [0, 10, 5]));
  const [merged] = waiting.remove(8, () => true);
  expect(merged).toMatchObject({ sequence: 2, targets: [0, 20, 5] });
  expect(waiting.size()).toBe(0);
});

test('only settlements of records that are ready are removed, in the order in which they were added', () => {
  const waiting = createWaitingSettlements();
  for (const key of ['a', 'b', 'c', 'd']) waiting.add(settlementOf(key, 1, [null, 1]));
  const removed = waiting.remove(2, ({ key }) => key !== 'a');
  expect(removed.map(({ record }) => record.key)).toEqual(['b', 'c']);
  expect(waiting.size()).toBe(2);
});

import { expect, test } from 'vitest';
import { mapInSlices } from '../../../shared/runtime/map-in-slices.ts';

test('maps in order, and lets the event loop turn after each slice', async () => {
  let turns = 0;
  let running = true;
  const count = (): void => {
    turns += 1;
    if (running) setImmediate(count);
  };
  setImmediate(count);
  const turnsAt = await mapInSlices([...Array(10).keys()], 4, (item) => [item, turns] as const);
  running = false;
  expect(turnsAt.map(([item]) => item)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const first = (slice: number): number => turnsAt[slice * 4]?.[1] ?? Number.NaN;
  expect(turnsAt.slice(0, 4).every(([, at]) => at === first(0))).toBe(true);
  expect(first(1)).toBeGreaterThan(first(0));
  expect(first(2)).toBeGreaterThan(first(1));
});

import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Maps a list in order, with an event-loop iteration after each `sliceMax` items: other work of the process waits for
 * one slice, not for the whole list.
 */
export async function mapInSlices<Item, Result>(
  items: readonly Item[],
  sliceMax: number,
  map: (item: Item) => Result,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const item of items) {
    if (results.length > 0 && results.length % sliceMax === 0) await nextTurn();
    results.push(map(item));
  }
  return results;
}

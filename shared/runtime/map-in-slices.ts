import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Maps a list in order and yields to the event loop after each `sliceMax` items, so that other work waits for one slice
 * only.
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

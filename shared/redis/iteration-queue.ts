/** Items that are sent together in one call to Redis. */
export interface IterationQueue<Item> {
  add(item: Item): void;
}

/**
 * Collects the items of one event-loop iteration and passes them to `send`, at most `itemsMax` at a time. `send` must not throw.
 *
 * The event loop's poll phase reads everything that has arrived. `setImmediate` runs right after that phase.
 */
export function createIterationQueue<Item>(
  itemsMax: number,
  send: (items: Item[]) => void,
): IterationQueue<Item> {
  let queue: Item[] = [];
  return {
    add: (item) => {
      queue.push(item);
      if (queue.length >= itemsMax) flush();
      else if (queue.length === 1) setImmediate(flush);
    },
  };

  function flush(): void {
    const items = queue;
    queue = [];
    if (items.length > 0) send(items);
  }
}

import { LRUCache } from 'lru-cache';

/**
 * Where a value stands among the values of its key. The version counts, also between partitions: when partitions are
 * added a key's next value goes to another one, and offsets of two partitions say nothing about each other. Values of
 * one version follow each other as in the log; every reader comes to the same order.
 */
export interface ValueOrder {
  readonly version: number;
  readonly offset: number;
  readonly partition: number;
}

export interface TableContent<Value> {
  get(key: string): Value | undefined;
  entries(): ReadonlyMap<string, Value>;
  /** The order of the key's newest value, or of its deletion; null where nothing is known of it. */
  orderOf(key: string): ValueOrder | null;
  /** Takes a value, null for a deletion, unless a newer one is here: in whatever order they come. */
  put(key: string, value: Value | null, order: ValueOrder): void;
  /** Empties the table: its topic is another one now. */
  forget(): void;
}

/** Deletions that are remembered, so that an older value of another partition does not bring a key back. */
const deletionsMax = 100_000;

/**
 * The newest value of every key. Neither reading the topic again after a reconnect nor an own write shown early ever puts
 * an older value over a newer one.
 */
export function createTableContent<Value>(
  onChange: (key: string, value: Value | null, before: Value | null) => void,
): TableContent<Value> {
  const values = new Map<string, Value>();
  const orders = new Map<string, ValueOrder>();
  const deletions = new LRUCache<string, ValueOrder>({ max: deletionsMax });

  return {
    get: (key) => values.get(key),
    entries: () => values,
    orderOf,
    put,
    forget() {
      const forgotten = [...values];
      values.clear();
      orders.clear();
      deletions.clear();
      for (const [key, value] of forgotten) onChange(key, null, value);
    },
  };

  function orderOf(key: string): ValueOrder | null {
    return orders.get(key) ?? deletions.get(key) ?? null;
  }

  function put(key: string, value: Value | null, order: ValueOrder): void {
    const known = orderOf(key);
    if (known !== null && compareOrders(order, known) <= 0) return;
    const before = values.get(key) ?? null;
    if (value === null) {
      values.delete(key);
      orders.delete(key);
      deletions.set(key, order);
    } else {
      values.set(key, value);
      orders.set(key, order);
      deletions.delete(key);
    }
    if (value !== null || before !== null) onChange(key, value, before);
  }
}

export function compareOrders(a: ValueOrder, b: ValueOrder): number {
  return a.version - b.version || a.offset - b.offset || a.partition - b.partition;
}

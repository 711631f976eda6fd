import { LRUCache } from 'lru-cache';

/**
 * The order of a value among the values of its key. The version is compared first: after partitions were added, a key
 * may be in another partition, and offsets of different partitions cannot be compared. Values with the same version
 * have the order of the log. Every reader computes the same order.
 */
export interface ValueOrder {
  readonly version: number;
  readonly offset: number;
  readonly partition: number;
}

export interface TableContent<Value> {
  get(key: string): Value | undefined;
  entries(): ReadonlyMap<string, Value>;
  /** Returns the order of the newest value of the key, or of its deletion; null if the key never had a value. */
  orderOf(key: string): ValueOrder | null;
  /** Stores a value, or a deletion (null), unless a newer value or deletion is stored. */
  put(key: string, value: Value | null, order: ValueOrder): void;
  /** Empties the table, because its topic was deleted and created again. */
  clear(): void;
}

/**
 * Largest number of stored deletions. A stored deletion prevents an older value in another partition from restoring its
 * key.
 */
const deletionsMax = 100_000;

/**
 * The newest value of every key. An older value never replaces a newer one, even if the topic is read again after a
 * reconnect, or if a value that this process wrote was applied before it is read from the topic.
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
    clear() {
      const removed = [...values];
      values.clear();
      orders.clear();
      deletions.clear();
      for (const [key, value] of removed) onChange(key, null, value);
    },
  };

  function orderOf(key: string): ValueOrder | null {
    return orders.get(key) ?? deletions.get(key) ?? null;
  }

  function put(key: string, value: Value | null, order: ValueOrder): void {
    const current = orderOf(key);
    if (current !== null && compareOrders(order, current) <= 0) return;
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

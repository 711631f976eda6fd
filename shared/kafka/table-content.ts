import type { ConsumedMessage } from './message.ts';

export interface TableContent<Value> {
  get(key: string): Value | undefined;
  entries(): ReadonlyMap<string, Value>;
  /** Takes a record of the topic; false when its value cannot be used, and the one before stays. */
  apply(message: Pick<ConsumedMessage, 'key' | 'value' | 'offset'>): boolean;
  /** Takes a record that this process wrote, before it comes back. */
  applyOwn(key: string, value: Value | null, offset: number): void;
  /** Empties the table: its topic is another one now. */
  forget(): void;
}

export interface TableContentOptions<Value> {
  /** Undefined for a value that cannot be used. */
  readonly decode: (value: Buffer, key: string) => Value | undefined;
  readonly onChange: (key: string, value: Value | null, before: Value | null) => void;
}

/**
 * The last value of every key. A key's records are all in one partition, so the higher offset is the later value:
 * neither reading the topic again after a reconnect nor an own write shown early ever puts an older value over a
 * newer one. Of a deleted key nothing is kept, but of own deletions until they come back, so that a value on its way
 * from before does not return for a moment.
 */
export function createTableContent<Value>(options: TableContentOptions<Value>): TableContent<Value> {
  const values = new Map<string, Value>();
  const offsets = new Map<string, number>();
  const ownDeletions = new Map<string, number>();

  return {
    get: (key) => values.get(key),
    entries: () => values,
    apply({ key, value, offset }) {
      if (key === null) return true;
      const decoded = value === null ? null : options.decode(value, key);
      if (decoded === undefined) return false;
      const deletedAt = ownDeletions.get(key);
      if (deletedAt !== undefined && deletedAt > offset) return true;
      ownDeletions.delete(key);
      put(key, decoded, offset);
      return true;
    },
    applyOwn(key, value, offset) {
      if (value === null) ownDeletions.set(key, offset);
      put(key, value, offset);
    },
    forget() {
      const forgotten = [...values];
      values.clear();
      offsets.clear();
      ownDeletions.clear();
      for (const [key, value] of forgotten) options.onChange(key, null, value);
    },
  };

  function put(key: string, value: Value | null, offset: number): void {
    if ((offsets.get(key) ?? -1) >= offset) return;
    const before = values.get(key) ?? null;
    if (value === null) {
      values.delete(key);
      offsets.delete(key);
    } else {
      values.set(key, value);
      offsets.set(key, offset);
    }
    if (value !== null || before !== null) options.onChange(key, value, before);
  }
}

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createTableContent } from '../../../shared/kafka/tables/table-content.ts';
import type { ValueOrder } from '../../../shared/kafka/tables/table-content.ts';

const keys = ['a', 'b', 'c'];
const some = fc.record({
  key: fc.constantFrom(...keys),
  value: fc.option(fc.integer({ min: 0, max: 9 }).map(String)),
});

interface Placed {
  readonly key: string;
  readonly value: string | null;
  readonly order: ValueOrder;
}

/** Records of one partition without versions: the offset is the order. */
const histories = fc
  .array(some, { maxLength: 30 })
  .map((history): Placed[] => history.map((one, offset) => ({ ...one, order: place(0, offset) })));

function place(version: number, offset: number, partition = 0): ValueOrder {
  return { version, offset, partition };
}

function newContent() {
  const changes: (string | null)[] = [];
  const content = createTableContent<string>((key, value, before) =>
    changes.push(`${key} ${before ?? '-'} ${value ?? '-'}`),
  );
  const putAll = (records: readonly Placed[]): void => {
    for (const { key, value, order } of records) content.put(key, value, order);
  };
  return { content, changes, putAll };
}

function lastValues(history: readonly Placed[]): [string, string][] {
  const last = new Map(history.map(({ key, value }) => [key, value]));
  return [...last].filter((entry): entry is [string, string] => entry[1] !== null).toSorted();
}

test('the last value counts, also after repeated reads of the topic and with own writes applied early', () => {
  fc.assert(
    fc.property(histories, fc.array(fc.nat()), fc.nat(), (history, own, cut) => {
      const { content, putAll } = newContent();
      const readTo = history.length === 0 ? 0 : cut % history.length;
      putAll(history.slice(0, readTo));
      // Some of the later records were written by this process and are applied before they are read.
      const left = Math.max(1, history.length - readTo);
      const early = own.toSorted((a, b) => a - b).flatMap((at) => history[readTo + (at % left)] ?? []);
      putAll(early);
      putAll(history.slice(readTo));
      expect([...content.entries()].toSorted()).toEqual(lastValues(history));
    }),
  );
});

test('every reader ends with the value of the highest version, in any order of the partitions', () => {
  const placed = fc.record({
    key: fc.constantFrom(...keys),
    value: fc.option(fc.integer({ min: 0, max: 9 }).map(String)),
    version: fc.nat(5),
    partition: fc.nat(3),
  });
  fc.assert(
    fc.property(fc.array(placed, { maxLength: 30 }), fc.infiniteStream(fc.nat()), (log, draws) => {
      const ends = new Map<number, number>();
      const records = log.map(({ key, value, version, partition }): Placed => {
        const offset = ends.get(partition) ?? 0;
        ends.set(partition, offset + 1);
        return { key, value, order: place(version, offset, partition) };
      });
      // A reader reads the partitions in any order, and each partition in its own order.
      const queues = [...Map.groupBy(records, ({ order }) => order.partition).values()];
      const { content, putAll } = newContent();
      while (queues.some(({ length }) => length > 0)) {
        const open = queues.filter(({ length }) => length > 0);
        putAll(open[(draws.next().value ?? 0) % open.length]?.splice(0, 1) ?? []);
      }
      const inOrder = records.toSorted(
        ({ order: a }, { order: b }) =>
          a.version - b.version || a.offset - b.offset || a.partition - b.partition,
      );
      expect([...content.entries()].toSorted()).toEqual(lastValues(inOrder));
    }),
  );
});

test('an older value from any partition does not undo a deletion', () => {
  const { content, changes, putAll } = newContent();
  putAll([
    { key: 'a', value: 'new', order: place(4, 0) },
    { key: 'a', value: null, order: place(5, 0, 1) },
    { key: 'a', value: 'new', order: place(4, 0) },
    { key: 'a', value: 'old', order: place(3, 9, 2) },
    { key: 'a', value: null, order: place(5, 0, 1) },
  ]);
  expect(content.get('a')).toBeUndefined();
  expect(changes).toEqual(['a - new', 'a new -']);
  content.put('a', 'again', place(6, 1));
  expect(content.get('a')).toBe('again');
});

test('clearing the table reports every key as deleted', () => {
  const { content, changes } = newContent();
  content.put('a', '1', place(0, 7));
  content.clear();
  content.put('a', '2', place(0, 0));
  expect(changes).toEqual(['a - 1', 'a 1 -', 'a - 2']);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createTableContent } from '../../../shared/kafka/table-content.ts';

const keys = ['a', 'b', 'c'];
/** A history of one partition: each record's place is its offset. */
const histories = fc.array(
  fc.record({ key: fc.constantFrom(...keys), value: fc.option(fc.integer({ min: 0, max: 9 }).map(String)) }),
  { maxLength: 30 },
);

function newContent() {
  const changes: (string | null)[] = [];
  const content = createTableContent<string>({
    decode: (value) => value.toString(),
    onChange: (key, value, before) => changes.push(`${key} ${before ?? '-'} ${value ?? '-'}`),
  });
  return { content, changes };
}

function lastValues(history: readonly { key: string; value: string | null }[]): [string, string][] {
  const last = new Map(history.map(({ key, value }) => [key, value]));
  return [...last].filter((entry): entry is [string, string] => entry[1] !== null).toSorted();
}

test('however often a topic is read again, and whatever own writes were shown early, the last value stands', () => {
  fc.assert(
    fc.property(histories, fc.array(fc.nat()), fc.nat(), (history, own, cut) => {
      const { content } = newContent();
      const records = history.map(({ key, value }, offset) => ({
        key,
        value: value === null ? null : Buffer.from(value),
        offset,
      }));
      const readTo = history.length === 0 ? 0 : cut % history.length;
      for (const record of records.slice(0, readTo)) content.apply(record);
      // Some of what is still to come was written by this process and is shown before it comes back.
      for (const place of own.toSorted((a, b) => a - b)) {
        const offset = readTo + (place % Math.max(1, history.length - readTo));
        const record = history[offset];
        if (record !== undefined) content.applyOwn(record.key, record.value, offset);
      }
      for (const record of records.slice(readTo)) content.apply(record);
      expect([...content.entries()].toSorted()).toEqual(lastValues(history));
    }),
  );
});

test('an own deletion is not undone by the value that was on its way', () => {
  const { content, changes } = newContent();
  content.applyOwn('a', 'new', 4);
  content.applyOwn('a', null, 5);
  content.apply({ key: 'a', value: Buffer.from('new'), offset: 4 });
  content.apply({ key: 'a', value: null, offset: 5 });
  expect(content.get('a')).toBeUndefined();
  expect(changes).toEqual(['a - new', 'a new -']);
});

test('forgetting tells of every key that is gone', () => {
  const { content, changes } = newContent();
  content.apply({ key: 'a', value: Buffer.from('1'), offset: 7 });
  content.forget();
  content.apply({ key: 'a', value: Buffer.from('2'), offset: 0 });
  expect(changes).toEqual(['a - 1', 'a 1 -', 'a - 2']);
});

import { expect, test } from 'vitest';
import { dropAborted } from '../../../shared/kafka/kafkajs/decoding/drop-aborted.ts';
import { gap } from '../../../shared/kafka/kafkajs/decoding/log-entry.ts';
import type { LogEntry } from '../../../shared/kafka/kafkajs/decoding/log-entry.ts';
import { createTransactionHold } from '../../../shared/kafka/kafkajs/session/transactions.ts';

function record(offset: number, transaction: bigint | null = null, key: Buffer | null = null): LogEntry {
  return {
    kind: 'record',
    offset: String(offset),
    isControlRecord: false,
    key,
    value: Buffer.from('x'.repeat(100)),
    headers: [],
    timestampMs: null,
    transaction,
  };
}

function marker(offset: number, transaction: bigint, committed: boolean): LogEntry {
  return { kind: 'marker', offset: String(offset), isControlRecord: false, transaction, committed };
}

const offsetsOf = (entries: readonly LogEntry[]): number[] => entries.map(({ offset }) => Number(offset));

test('a transaction is held back until it is committed, in its partition only', () => {
  const hold = createTransactionHold(() => undefined);
  expect(offsetsOf(hold.release('0', [record(0), record(1, 7n), record(2)]))).toEqual([0, 2]);
  expect(offsetsOf(hold.release('1', [record(0, 7n), record(1)]))).toEqual([1]);
  expect([hold.heldFrom('0'), hold.heldFrom('1'), hold.heldFrom('2')]).toEqual([1, 0, null]);
  expect(offsetsOf(hold.release('0', [marker(3, 7n, true), record(4)]))).toEqual([1, 4]);
  expect([hold.heldFrom('0'), hold.heldFrom('1')]).toEqual([null, 0]);
  expect(hold.release('1', [marker(2, 7n, false)])).toEqual([]);
  expect([hold.heldFrom('1'), hold.isEmpty()]).toEqual([null, true]);
});

test('a committed transaction does not release the next one of its producer', () => {
  const hold = createTransactionHold(() => undefined);
  const entries = [record(0, 7n), marker(1, 7n, false), record(2, 7n), marker(3, 7n, true), record(4, 7n)];
  expect(offsetsOf(hold.release('0', entries))).toEqual([2]);
  expect(hold.heldFrom('0')).toBe(4);
});

test('the end of a transaction that began before the first fetch is ignored', () => {
  expect(
    createTransactionHold(() => undefined).release('0', [marker(0, 7n, true), marker(1, 8n, false)]),
  ).toEqual([]);
});

test('above the bound the largest transaction is released completely, and the others stay held', () => {
  const overflows: number[] = [];
  const hold = createTransactionHold((records) => overflows.push(records), 3 * 300 + 1);
  expect(hold.release('0', [record(0, 1n), record(1, 2n), record(2, 1n)])).toEqual([]);
  expect(offsetsOf(hold.release('0', [record(3, 1n), record(4, 1n)]))).toEqual([0, 2, 3, 4]);
  expect(overflows).toEqual([3]);
  expect(hold.heldFrom('0')).toBe(1);
  expect(offsetsOf(hold.release('0', [marker(5, 1n, true), record(6, 1n), marker(7, 2n, true)]))).toEqual([
    1,
  ]);
  expect(hold.heldFrom('0')).toBe(6);
});

test('every record of aborted transactions that began before the fetch is dropped', () => {
  const aborted = [
    { producerId: 2n, firstOffset: 1 },
    { producerId: 1n, firstOffset: 0 },
  ];
  const entries = [
    record(5, 2n),
    record(6, 1n),
    record(7),
    marker(8, 2n, false),
    record(9, 2n),
    record(10, 1n),
  ];
  expect(dropAborted(entries, aborted)).toEqual([
    gap(5),
    gap(6),
    entries[2],
    entries[3],
    entries[4],
    gap(10),
  ]);
});

test('a record whose key looks like the end of a transaction ends none', () => {
  const entries = [record(0, 1n, Buffer.from([0, 0, 0, 0])), record(1, 1n)];
  expect(dropAborted(entries, [{ producerId: 1n, firstOffset: 0 }])).toEqual([gap(0), gap(1)]);
});

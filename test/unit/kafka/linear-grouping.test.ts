import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LinearlyGrouped } from '../../../shared/kafka/kafkajs/patches/linear-grouping.ts';

type Message = Parameters<typeof LinearlyGrouped.group>[0][number];
type GroupPerPartition = (request: {
  readonly topic: string;
  readonly partitionMetadata: readonly object[];
  readonly messages: readonly Message[];
  readonly partitioner: (candidate: { readonly message: Message }) => number;
}) => unknown;

const load = createRequire(import.meta.url);
const groupPerPartition = load('kafkajs/src/producer/groupMessagesPerPartition.js') as GroupPerPartition;

function partitionOf({ key }: Message): number {
  return Number(key) % 3;
}

function grouped(messages: readonly Message[]): unknown {
  const partitioner = ({ message }: { readonly message: Message }): number => partitionOf(message);
  return groupPerPartition({ topic: 'usage', partitionMetadata: [{}, {}, {}], messages, partitioner });
}

test('kafkajs groups the messages as before, in the same order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20)), (keys) => {
      const messages = keys.map((key, at) => ({ key: String(key), value: String(at) }));
      expect(grouped(LinearlyGrouped.group(messages, partitionOf))).toEqual(grouped(messages));
    }),
  );
});

test('four times the messages cost four times the copies of messages, not sixteen times', () => {
  const messagesOf = (count: number): Message[] =>
    Array.from({ length: count }, () => ({ key: '1', value: '' }));
  const copies = (count: number): number =>
    elementsRead(() => grouped(LinearlyGrouped.group(messagesOf(count), partitionOf)));
  expect(copies(2_000) / copies(500)).toBeCloseTo(4, 0);
  // The count shows the defect: without the replacement, kafkajs copies each group for each message.
  const copiesOfKafkajs = (count: number): number => elementsRead(() => grouped(messagesOf(count)));
  expect(copiesOfKafkajs(2_000) / copiesOfKafkajs(500)).toBeGreaterThan(12);
});

/** The elements of all arrays that are spread or iterated during the work: unlike its time, the same on every machine. */
function elementsRead(work: () => unknown): number {
  const iterate = Array.prototype[Symbol.iterator];
  let count = 0;
  Array.prototype[Symbol.iterator] = function counted(this: unknown[]) {
    count += this.length;
    return iterate.call(this);
  };
  try {
    work();
    return count;
  } finally {
    Array.prototype[Symbol.iterator] = iterate;
  }
}

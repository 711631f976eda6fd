import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LinearlyGrouped } from '../../../shared/kafka/kafkajs/patches/linear-grouping.ts';

interface Message {
  readonly key: string;
  readonly value: string;
}
type GroupPerPartition = (request: {
  readonly topic: string;
  readonly partitionMetadata: readonly object[];
  readonly messages: readonly Message[];
  readonly partitioner: (candidate: { readonly message: Message }) => number;
}) => unknown;

const load = createRequire(import.meta.url);
const groupPerPartition = load('kafkajs/src/producer/groupMessagesPerPartition.js') as GroupPerPartition;

function grouped(messages: readonly Message[]): unknown {
  const partitioner = ({ message }: { readonly message: Message }): number => Number(message.key) % 3;
  return groupPerPartition({ topic: 'usage', partitionMetadata: [{}, {}, {}], messages, partitioner });
}

test('kafkajs groups the messages as before, in the same order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20)), (keys) => {
      const messages = keys.map((key, at) => ({ key: String(key), value: String(at) }));
      expect(grouped(LinearlyGrouped.from(messages))).toEqual(grouped(messages));
    }),
  );
});

test('four times the messages take about four times as long, not sixteen times', () => {
  const timeOf = (count: number): number => {
    const messages = LinearlyGrouped.from(Array.from({ length: count }, () => ({ key: '1', value: '' })));
    const times = Array.from({ length: 5 }, () => {
      const startedAt = performance.now();
      grouped(messages);
      return performance.now() - startedAt;
    });
    return Math.min(...times);
  };
  timeOf(20_000);
  expect(timeOf(80_000) / timeOf(20_000)).toBeLessThan(10);
});

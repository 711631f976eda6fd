import { expect, test } from 'vitest';
import { murmur2, partitionOf } from '../../../shared/kafka/kafkajs/partition.ts';

// Test vectors of Kafka's own UtilsTest.
test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('murmur2 of %j equals the hash of the Java client', (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash);
});

test('a negative hash still gives a partition that exists', () => {
  expect(partitionOf('foobar', 12)).toBe((-790332482 & 0x7fffffff) % 12);
});

test('keys with characters above ASCII are hashed by their UTF-8 bytes', () => {
  expect(partitionOf('mandant-ü', 12)).toBe((murmur2(Buffer.from('mandant-ü', 'utf8')) & 0x7fffffff) % 12);
});

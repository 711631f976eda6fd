import { createRequire } from 'node:module';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { crc32c } from '../../../shared/kafka/kafkajs/crc32c.ts';
import { patchProduceEncoding } from '../../../shared/kafka/kafkajs/patches/produce-encoding.ts';
import type { Described } from '../../../shared/kafka/kafkajs/patches/produce-encoding.ts';
import type { ProduceRequest } from '../../../shared/kafka/kafkajs/patches/produce-request.ts';

type Describe = (request: ProduceRequest) => Described & { readonly apiVersion: number };

const load = createRequire(import.meta.url);
const kafkaJs = load('kafkajs/src/protocol/requests/produce/v3/request.js') as Describe;
let isPatched: Describe;

// Both encoders read the clock, so the clock is stopped: otherwise their bytes would differ.
beforeAll(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  patchProduceEncoding();
  isPatched = load('kafkajs/src/protocol/requests/produce/v7/request.js') as Describe;
});
afterAll(() => {
  vi.useRealTimers();
});

const bytes = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.uint8Array({ maxLength: 9_000 }).map((array) => Buffer.from(array)),
  fc.constant(Buffer.alloc(70_000)),
);
const bare = fc.record({ key: fc.option(bytes), value: fc.option(bytes) });
const requestsOf = (record: fc.Arbitrary<object>): fc.Arbitrary<ProduceRequest> =>
  fc.record({
    acks: fc.constantFrom(-1, 0, 1),
    timeout: fc.nat(),
    producerId: fc.oneof(fc.bigInt({ min: -1n, max: 2n ** 63n - 1n }).map(String), fc.nat()),
    producerEpoch: fc.nat(32_767),
    topicData: fc.array(
      fc.record({
        topic: fc.string({ unit: 'grapheme', maxLength: 200 }),
        partitions: fc.array(
          fc.record({
            partition: fc.nat(10_000),
            firstSequence: fc.nat(),
            messages: fc.array(record, { minLength: 1, maxLength: 200 }),
          }),
          { maxLength: 6 },
        ),
      }),
      { maxLength: 3 },
    ),
  }) as fc.Arbitrary<ProduceRequest>;

async function expectSameBytes(request: ProduceRequest): Promise<void> {
  const [ours, theirs] = [await isPatched(request).encode(), await kafkaJs(request).encode()];
  expect(ours.size()).toBe(theirs.size());
  expect(ours.buffer.equals(theirs.buffer)).toBe(true);
}

test('a produce request has exactly the bytes that kafkajs encodes', async () => {
  await fc.assert(fc.asyncProperty(requestsOf(bare), expectSameBytes));
});

test('headers, timestamps and tombstones have the bytes that kafkajs encodes', async () => {
  const rich = fc.record(
    {
      value: fc.option(bytes),
      headers: fc.dictionary(fc.string(), fc.string()),
      timestamp: fc.nat().map(String),
    },
    { requiredKeys: ['value'] },
  );
  await fc.assert(fc.asyncProperty(requestsOf(rich), expectSameBytes));
});

test('the checksums of 32 zeros, ones and rising bytes are those of iSCSI (RFC 3720, B.4)', () => {
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, index) => index)))).toBe(0x46dd794e);
});

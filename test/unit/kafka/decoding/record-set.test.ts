// Goal: if a batch cannot be decoded, only its own records are lost, and reading continues after it, for any bytes.
import { createRequire } from 'node:module';
import { crc32, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LogEntry } from '../../../../shared/kafka/kafkajs/decoding/log-entry.ts';
import { batchRecordsMax, plainBytesMax } from '../../../../shared/kafka/kafkajs/decoding/record-batch.ts';
import {
  decodeRecordSet,
  partitionPlainBytesMax,
} from '../../../../shared/kafka/kafkajs/decoding/record-set.ts';
import { batchOf, recordOf, recordsOf, varint } from './batches.ts';

/** Short descriptions of entries: a record by its value, other entries by their kind. */
function shortOf(entries: readonly LogEntry[]): string[] {
  return entries.map((entry) => {
    if (entry.kind === 'record') return `${entry.offset} ${entry.value?.toString() ?? 'null'}`;
    if (entry.kind === 'marker') return `${entry.offset} ${entry.committed ? 'commit' : 'abort'}`;
    if (entry.kind === 'gap') return `${entry.offset} gap`;
    return `${entry.firstOffset}-${entry.lastOffset} ${entry.reason}`;
  });
}

const first = batchOf({ records: recordsOf(['a', 'b']), count: 2 });
const last = batchOf({ baseOffset: 10, records: recordsOf(['z']) });

async function between(bad: Buffer): Promise<string[]> {
  return shortOf(await decodeRecordSet(Buffer.concat([first, bad, last])));
}

describe('between two valid batches', () => {
  const good = { baseOffset: 2, records: recordsOf(['c', 'd', 'e']), count: 3 };

  test.each<[string, Buffer, string]>([
    ['a checksum that is wrong', flipped(batchOf(good), 70), '2-9 its checksum is wrong'],
    ['a number of records that is damaged', flipped(batchOf(good), 57), '2-9 its checksum is wrong'],
    ['an unknown codec', batchOf({ ...good, attributes: 6 }), '2-4 compression codec 6 is not known'],
    [
      'bytes that the codec does not know',
      batchOf({ ...good, attributes: 1 }),
      '2-4 gzip: incorrect header check',
    ],
    ['an unknown format', batchOf({ ...good, magic: 3 }), '2-9 message format 3 is not known'],
    ['a format that was never one', batchOf({ ...good, magic: -1 }), '2-9 message format -1 is not known'],
    [
      'more records than memory is for',
      batchOf({ ...good, count: batchRecordsMax + 1, lastOffsetDelta: 2 }),
      `2-4 the number of records in its header is ${batchRecordsMax + 1}`,
    ],
    [
      'a negative number of records',
      batchOf({ ...good, count: -1, lastOffsetDelta: 2 }),
      '2-4 the number of records in its header is -1',
    ],
    [
      'a decompression bomb',
      batchOf({ ...good, attributes: 1, records: gzipSync(Buffer.alloc(plainBytesMax + 1)) }),
      `2-4 gzip: Cannot create a Buffer larger than ${plainBytesMax} bytes`,
    ],
  ])('%s costs only this batch', async (_, bad, expected) => {
    expect(await between(bad)).toEqual(['0 a', '1 b', expected, '10 z']);
  });

  test('a malformed record costs itself and those behind it in its batch', async () => {
    const records = Buffer.concat([
      recordOf({ value: 'c' }),
      varint(1_000n),
      recordOf({ offsetDelta: 2, value: 'e' }),
    ]);
    expect(await between(batchOf({ ...good, records }))).toEqual([
      '0 a',
      '1 b',
      '2 c',
      '3-4 a record is cut off',
      '10 z',
    ]);
  });

  test('a batch with descending offsets is unreadable', async () => {
    const records = Buffer.concat([recordOf({ offsetDelta: 1, value: 'c' }), recordOf({ value: 'd' })]);
    expect(await between(batchOf({ ...good, records, count: 2, lastOffsetDelta: 2 }))).toEqual([
      '0 a',
      '1 b',
      '3 c',
      '4-4 its offsets are not in order',
      '10 z',
    ]);
  });

  test('the last offset of a compacted batch is an entry', async () => {
    expect(
      await between(batchOf({ baseOffset: 2, records: Buffer.alloc(0), count: 0, lastOffsetDelta: 7 })),
    ).toEqual(['0 a', '1 b', '9 gap', '10 z']);
  });
});

test('a fetch of highly compressed batches is decoded up to a bound, and the other batches are fetched again', async () => {
  const value = 'x'.repeat(partitionPlainBytesMax);
  const large = (baseOffset: number): Buffer =>
    batchOf({ baseOffset, attributes: 1, records: gzipSync(recordsOf([value])) });
  const entries = await decodeRecordSet(Buffer.concat([large(0), large(1), large(2)]));
  expect(entries.map(({ offset }) => offset)).toEqual(['0']);
});

test('an incomplete batch at the end of a fetch is left for the next fetch', async () => {
  for (let cut = 1; cut < last.length; cut += 1) {
    expect(shortOf(await decodeRecordSet(Buffer.concat([first, last.subarray(0, cut)])))).toEqual([
      '0 a',
      '1 b',
    ]);
  }
});

test('when the length of the first batch is wrong, the next fetch begins one offset further', async () => {
  const endless = Buffer.from(last);
  endless.writeInt32BE(0x7fffffff, 8);
  expect(shortOf(await decodeRecordSet(endless))).toEqual(['10-10 its length is wrong']);
});

test('a damaged batch at the end never skips a record behind it', async () => {
  const damaged = batchOf({ records: recordsOf(['a', 'b']), count: 2, lastOffsetDelta: 1_000 });
  expect(shortOf(await decodeRecordSet(flipped(damaged, 70)))).toEqual(['0-0 its checksum is wrong']);
  const twoRecords = flipped(first, 70);
  expect(shortOf(await decodeRecordSet(twoRecords))).toEqual(['0-1 its checksum is wrong']);
});

describe('a record', () => {
  const only = async (record: Parameters<typeof recordOf>[0], firstTimestamp?: bigint) =>
    (
      await decodeRecordSet(
        batchOf({ records: recordOf(record), ...(firstTimestamp === undefined ? {} : { firstTimestamp }) }),
      )
    )[0];

  test('has its key, value and headers byte for byte, and null differs from empty', async () => {
    const headers = [
      ['name', Buffer.from([0xff, 0])],
      ['name', null],
      ['__proto__', Buffer.alloc(0)],
    ] as const;
    expect(await only({ key: Buffer.from([0xc3, 0x28]), value: null, headers })).toMatchObject({
      key: Buffer.from([0xc3, 0x28]),
      value: null,
      headers,
    });
    expect(await only({ key: null, value: '' })).toMatchObject({ key: null, value: Buffer.alloc(0) });
  });

  test.each<[string, bigint, bigint, number | null]>([
    ['a usual one', 1_700_000_000_000n, 5n, 1_700_000_000_005],
    ['earlier than the first', 1_700_000_000_000n, -5n, 1_699_999_999_995],
    ['none', -1n, 0n, null],
    ['one before 1970', 0n, -1n, null],
    ['later than any date', 9_000_000_000_000_000n, 0n, null],
    ['the largest number there is', 2n ** 63n - 1n, 0n, null],
    ['the largest difference there is', 0n, 2n ** 63n - 1n, null],
    ['the smallest number there is', -(2n ** 63n), -(2n ** 63n), null],
  ])('has a valid timestamp or null: %s', async (_, firstTimestamp, timestampDelta, timestampMs) => {
    expect(await only({ timestampDelta }, firstTimestamp)).toMatchObject({ kind: 'record', timestampMs });
  });

  test('of a topic with LogAppendTime has the time of the broker', async () => {
    const [entry] = await decodeRecordSet(
      batchOf({ attributes: 0x8, records: recordOf({ timestampDelta: 99n }) }),
    );
    expect(entry).toMatchObject({ timestampMs: 1_700_000_000_000 });
  });
});

test('control records end a transaction, and other control records are gaps', async () => {
  const control = (baseOffset: number, type: number): Buffer =>
    batchOf({
      baseOffset,
      attributes: 0x30,
      producerId: 7n,
      records: recordOf({ key: Buffer.from([0, 0, 0, type]) }),
    });
  const of = await decodeRecordSet(Buffer.concat([control(0, 0), control(1, 1), control(2, 4)]));
  expect(shortOf(of)).toEqual(['0 abort', '1 commit', '2 gap']);
  expect(of[0]).toMatchObject({ transaction: 7n, isControlRecord: false });
  expect(of[2]).toMatchObject({ isControlRecord: true });
});

test('arbitrary bytes decode to entries in rising order, and never to an error', async () => {
  const seed = Buffer.concat([
    first,
    batchOf({ baseOffset: 2, attributes: 3, records: recordsOf(['c']) }),
    last,
  ]);
  const damage = fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(damage, fc.nat(seed.length), async (bytes, keep) => {
      const broken = Buffer.from(seed);
      for (const [at, byte] of bytes) broken[at] = byte;
      const entries = await decodeRecordSet(broken.subarray(0, keep));
      expect(Array.isArray(entries)).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

describe('formats 0 and 1', () => {
  /** The fields offset, size, checksum, version, attributes, time (in format 1), key and value. */
  function message(offset: number, { magic = 1, attributes = 0, value = Buffer.from('v') }): Buffer {
    const length = (bytes: Buffer): Buffer => {
      const head = Buffer.alloc(4);
      head.writeInt32BE(bytes.length);
      return Buffer.concat([head, bytes]);
    };
    const time = Buffer.alloc(magic === 0 ? 0 : 8);
    if (magic === 1) time.writeBigInt64BE(1_700_000_000_000n);
    const head = Buffer.from([magic, attributes]);
    const body = Buffer.concat([head, time, length(Buffer.from('k')), length(value)]);
    const outer = Buffer.alloc(16);
    outer.writeBigInt64BE(BigInt(offset));
    outer.writeInt32BE(body.length + 4, 8);
    outer.writeUInt32BE(crc32(body), 12);
    return Buffer.concat([outer, body]);
  }

  test.each([0, 1])('of version %i are decoded, compressed or not, next to format 2', async (magic) => {
    const inner = [0, 1].map((index) =>
      message(magic === 0 ? 5 + index : index, { magic, value: Buffer.from(`in ${index}`) }),
    );
    const set = message(6, { magic, attributes: 1, value: gzipSync(Buffer.concat(inner)) });
    const bytes = Buffer.concat([message(4, { magic }), set, last]);
    expect(shortOf(await decodeRecordSet(bytes))).toEqual(['4 v', '5 in 0', '6 in 1', '10 z']);
  });

  test('a damaged message costs only itself', async () => {
    const bytes = Buffer.concat([flipped(message(4, {}), 33), message(5, {}), message(6, { attributes: 1 })]);
    expect(shortOf(await decodeRecordSet(bytes))).toEqual([
      '4-4 its checksum is wrong',
      '5 v',
      '6-6 gzip: unexpected end of file',
    ]);
  });
});

/** An encoder that is independent of the batches of these tests. */
test('batches of the encoder of kafkajs are decoded', async () => {
  const load = createRequire(import.meta.url);
  const { RecordBatch } = load('kafkajs/src/protocol/recordBatch/v0/index.js') as {
    readonly RecordBatch: (batch: object) => Promise<{ buffer: Buffer }>;
  };
  const record = load('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (record: object) => object;
  const timestamp = 1_700_000_000_000;
  const records = ['one', 'two'].map((value, offsetDelta) =>
    record({ key: 'k', value, offsetDelta, timestampDelta: offsetDelta, headers: { a: ['1', '2'] } }),
  );
  const times = { firstTimestamp: timestamp, maxTimestamp: timestamp };
  const batch = await RecordBatch({ compression: 1, ...times, lastOffsetDelta: 1, records });
  const [, two] = await decodeRecordSet(batch.buffer);
  expect(two).toMatchObject({
    offset: '1',
    value: Buffer.from('two'),
    timestampMs: timestamp + 1,
    headers: [
      ['a', Buffer.from('1')],
      ['a', Buffer.from('2')],
    ],
  });
});

function flipped(bytes: Buffer, at: number): Buffer {
  const damaged = Buffer.from(bytes);
  damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
  return damaged;
}

// Goal: every codec of Kafka is decoded, in every framing that clients use, and no input needs more memory than its
// bound.
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { compress as lz4 } from 'lz4js';
import { compress as snappy } from 'snappyjs';
import { describe, expect, test } from 'vitest';
import { decompress } from '../../../../shared/kafka/kafkajs/decoding/codecs.ts';
import { MalformedRecords } from '../../../../shared/kafka/kafkajs/decoding/byte-reader.ts';

const [gzipId, snappyId, lz4Id, zstdId] = [1, 2, 3, 4];
const bytesMax = 1024 * 1024;

/** Returns the framing of snappy-java: a magic number, two versions, then the length and the bytes of each block. */
function xerial(bytes: Buffer, blockBytes: number): Buffer {
  const parts: Buffer[] = [
    Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]),
  ];
  for (let at = 0; at < bytes.length; at += blockBytes) {
    const block = snappy(bytes.subarray(at, at + blockBytes));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

/** Returns an LZ4 frame with these flags, whose blocks are not compressed. */
function plainLz4(bytes: Buffer, { flags, extra = 0 }: { flags: number; extra?: number }): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE((0x80000000 | bytes.length) >>> 0);
  const blockChecksum = Buffer.alloc((flags & 0x10) === 0 ? 0 : 4);
  const contentChecksum = Buffer.alloc((flags & 0x4) === 0 ? 0 : 4);
  const head = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x40 | flags, 0x70]);
  return Buffer.concat([
    head,
    Buffer.alloc(extra + 1),
    length,
    bytes,
    blockChecksum,
    Buffer.alloc(4),
    contentChecksum,
  ]);
}

const codecs: readonly (readonly [string, number, (bytes: Buffer) => Buffer])[] = [
  ['gzip', gzipId, (bytes) => gzipSync(bytes)],
  ['snappy, raw', snappyId, (bytes) => snappy(bytes)],
  ['snappy, framed by snappy-java', snappyId, (bytes) => xerial(bytes, 100)],
  ['lz4', lz4Id, (bytes) => Buffer.from(lz4(bytes))],
  ['lz4, not compressed', lz4Id, (bytes) => plainLz4(bytes, { flags: 0 })],
  ['lz4 with its size and all checksums', lz4Id, (bytes) => plainLz4(bytes, { flags: 0x1c, extra: 8 })],
  ['zstd', zstdId, (bytes) => zstdCompressSync(bytes)],
];

test('uncompressed bytes do not change', async () => {
  const bytes = Buffer.from('plain');
  expect(await decompress(0, bytes, bytesMax)).toBe(bytes);
});

describe.each(codecs)('%s', (_, id, compress) => {
  test('compressed bytes are decompressed exactly', async () => {
    const some = fc.oneof(
      fc.uint8Array({ maxLength: 3_000 }),
      // Near and far repetitions, some of which overlap themselves.
      fc
        .array(fc.tuple(fc.string({ maxLength: 20 }), fc.nat(40)), { maxLength: 40 })
        .map((parts) => Buffer.from(parts.map(([text, times]) => text.repeat(times)).join(''))),
    );
    await fc.assert(
      fc.asyncProperty(some, async (bytes) => {
        const plain = await decompress(id, compress(Buffer.from(bytes)), bytesMax);
        expect(Buffer.compare(plain, bytes)).toBe(0);
      }),
    );
  });

  test('output above the bound is refused at once', async () => {
    const bomb = compress(Buffer.alloc(bytesMax * 16));
    const startedAt = performance.now();
    await expect(decompress(id, bomb, bytesMax)).rejects.toThrow(MalformedRecords);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });

  test('changed bytes are refused or decode to other bytes, and never cause another error', async () => {
    const good = compress(Buffer.from('some text, some text, some more text, and text'.repeat(20)));
    const damage = fc.record({ at: fc.nat(good.length - 1), byte: fc.nat(255), keep: fc.nat(good.length) });
    await fc.assert(
      fc.asyncProperty(damage, async ({ at, byte, keep }) => {
        const broken = Buffer.from(good);
        broken[at] = byte;
        const outcome = await decompress(id, broken.subarray(0, keep), bytesMax).catch(
          (error: unknown) => error,
        );
        expect(outcome instanceof Buffer || outcome instanceof MalformedRecords).toBe(true);
      }),
    );
  });
});

test('an LZ4 block that would repeat a byte for ever ends at the bound', async () => {
  const head = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x40, 0x70, 0]);
  // One literal, then a match one byte back with a very large length.
  const block = Buffer.concat([
    Buffer.from([0x1f, 0x61, 1, 0]),
    Buffer.alloc(900_000, 0xff),
    Buffer.from([0]),
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(block.length);
  const startedAt = performance.now();
  await expect(
    decompress(lz4Id, Buffer.concat([head, length, block, Buffer.alloc(4)]), bytesMax),
  ).rejects.toThrow(/more than 1048576 bytes/);
  expect(performance.now() - startedAt).toBeLessThan(1_000);
});

test.each([5, 6, 7])('codec %i, which does not exist, is refused', async (id) => {
  await expect(decompress(id, Buffer.from('x'), bytesMax)).rejects.toThrow(
    `compression codec ${id} is not known`,
  );
});

import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { Retention } from '../../../services/gateway/spool/retention.ts';
import { WrittenBytes } from '../../../services/gateway/spool/segments/written-bytes.ts';

const segments = [{}, {}] as const;
const kibibyte = 1024;

const operation = fc.record({
  kind: fc.constantFrom('write', 'write', 'write', 'other segment', 'read', 'read from the middle'),
  length: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 1_100 * kibibyte })),
});

test('bytes in memory are those of the segment, and are never overwritten', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const written = new WrittenBytes();
      const sizes = [0, 0];
      const reads: { bytes: Buffer; at: number; segment: number }[] = [];
      let [active, at] = [0, 0];
      for (const { kind, length } of operations) {
        if (kind === 'other segment') active = 1 - active;
        const size = sizes[active] ?? 0;
        if (kind === 'other segment') at = size;
        if (kind === 'write') {
          written.add(segments[active] ?? {}, size, pieceOf(active, size, length));
          sizes[active] = size + length;
        } else if (at < size) {
          const from = kind === 'read' ? at : at + Math.floor((size - at) / 2);
          const bytes = written.read(segments[active] ?? {}, from, size - from);
          if (bytes !== null) reads.push({ bytes, at: from, segment: active });
          at = size;
        }
      }
      for (const { bytes, at: from, segment } of reads) {
        expect(bytes.equals(contentOf(segment, from, bytes.length))).toBe(true);
      }
    }),
    { numRuns: 50 },
  );
});

test('a reader without a backlog reads from memory, and after a backlog again', () => {
  const written = new WrittenBytes();
  const [segment] = segments;
  let size = 0;
  const write = (): void => {
    written.add(segment, size, pieceOf(0, size, 600 * kibibyte));
    size += 600 * kibibyte;
  };
  write();
  expect(written.read(segment, 0, size)).not.toBeNull();
  for (let piece = 0; piece < 5; piece += 1) write();
  expect(written.read(segment, 600 * kibibyte, kibibyte)).toBeNull();
  const before = size;
  write();
  expect(written.read(segment, before, size - before)).not.toBeNull();
});

test('however often Kafka acknowledges, the cursor is written once per interval, and the last position always', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const positions: number[] = [];
  const disk = {
    active: () => null,
    writeCursor: (position: number) => Promise.resolve(positions.push(position)),
  };
  const retention = new Retention(disk as never, () => null);
  for (let position = 1; position <= 50; position += 1) {
    retention.advance(position);
    if (retention.isDue) await retention.apply();
    vi.advanceTimersByTime(20);
  }
  expect(positions).toEqual([1, 6, 11, 16, 21, 26, 31, 36, 41, 46]);
  vi.advanceTimersByTime(20);
  expect(retention.isDue).toBe(true);
  await retention.apply();
  expect(positions.at(-1)).toBe(50);
  expect(retention.isDue).toBe(false);
  vi.useRealTimers();
});

test('a cursor whose write fails is written again after the interval', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const positions: number[] = [];
  let isBroken = true;
  const disk = {
    active: () => null,
    writeCursor: (position: number) =>
      isBroken ? Promise.reject(new Error('EIO')) : Promise.resolve(positions.push(position)),
  };
  const retention = new Retention(disk as never, () => null);
  retention.advance(2);
  await expect(retention.apply()).rejects.toThrow('EIO');
  isBroken = false;
  vi.advanceTimersByTime(100);
  expect(retention.isDue).toBe(true);
  await retention.apply();
  expect([positions, retention.isDue]).toEqual([[2], false]);
  vi.useRealTimers();
});

/** A piece that does not begin at the start of its buffer. */
function pieceOf(segment: number, at: number, length: number): { buffer: Buffer; from: number; to: number } {
  return {
    buffer: Buffer.concat([Buffer.from('before'), contentOf(segment, at, length)]),
    from: 6,
    to: 6 + length,
  };
}

/** The content of a segment at an offset: no two neighbouring offsets have equal bytes. */
function contentOf(segment: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let index = 0; index < length; index += 1) bytes[index] = ((at + index) % 251) ^ segment;
  return bytes;
}

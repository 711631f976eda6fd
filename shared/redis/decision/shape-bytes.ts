import type { PeriodCache } from './periods.ts';
import type { Shape } from './windows.ts';

/** A shape in the binary form that `windows.lua` unpacks; valid until one of its calendar periods is over. */
interface ShapeBytes {
  readonly bytes: Buffer;
  readonly fromMs: number;
  readonly untilMs: number;
}

const cache = new WeakMap<Shape, ShapeBytes>();

const numberBytes = 6;
const numberMax = 2 ** 48 - 1;
const headBytes = 6;
/** Bytes of one window: subject, kind and quantity (one byte each), eight numbers, length of the field's name (one byte). */
const windowBytes = 3 + 8 * numberBytes + 1;
const quotaBit = 1;
const shadowBit = 2;
const reservedBit = 4;
const carriedBit = 8;

/**
 * Encodes a shape as `windows.lua` reads it. Caches the bytes for the current periods, so an unchanged shape is not encoded
 * again for each call.
 */
export function encodeShape(shape: Shape, periods: PeriodCache, nowMs: number): Buffer {
  const cached = cache.get(shape);
  if (cached !== undefined && nowMs >= cached.fromMs && nowMs < cached.untilMs) return cached.bytes;
  const fields = shape.windows.map(({ field }) => Buffer.from(field));
  const size = fields.reduce((sum, field) => sum + windowBytes + field.length, headBytes);
  const bytes = Buffer.alloc(size);
  let at = bytes.writeUInt16LE(shape.windows.length);
  at = bytes.writeUInt16LE(shape.subjects.length, at);
  at = bytes.writeUInt16LE(shape.quantities.length, at);
  let [fromMs, untilMs] = [-Infinity, Infinity];
  for (const [index, window] of shape.windows.entries()) {
    const { units, spanMs, burst, grainMs, period, shadow, counts } = window;
    const bounds = period === null ? null : periods.around(period, shape.calendars[index] ?? 'UTC', nowMs);
    if (bounds !== null)
      [fromMs, untilMs] = [Math.max(fromMs, bounds.start), Math.min(untilMs, bounds.finish)];
    at = bytes.writeUInt8((shape.subjectOf[index] ?? 0) + 1, at);
    const bits =
      counts === 'carried'
        ? carriedBit
        : (period === null ? 0 : quotaBit) +
          (shadow ? shadowBit : 0) +
          (counts === 'reserved' ? reservedBit : 0);
    at = bytes.writeUInt8(bits, at);
    at = bytes.writeUInt8((shape.quantityOf[index] ?? 0) + 1, at);
    const { before = 0, start = 0, finish = 0, after = 0 } = bounds ?? {};
    for (const number of [units, spanMs, burst, grainMs, before, start, finish, after]) {
      at = bytes.writeUIntLE(Math.min(Math.max(0, number), numberMax), at, numberBytes);
    }
    const field = fields[index] ?? Buffer.alloc(0);
    at = bytes.writeUInt8(field.length, at);
    at += field.copy(bytes, at);
  }
  cache.set(shape, { bytes, fromMs, untilMs });
  return bytes;
}

import type { Limit } from '../../domain/limit.ts';
import type { PeriodCache } from '../decision/periods.ts';
import { encodeShape } from '../decision/shape-bytes.ts';
import type { Subject } from '../decision/subjects.ts';
import type { Shape } from '../decision/windows.ts';

/**
 * The part of a reservation's record that never changes. Numbers are unsigned, lowest byte first; [n] is the number of bytes:
 *
 *     number of subjects [1], then for each: index of the subject whose hash holds its epoch, 0 for none [1], length [2], key
 *     the shape, see `scripts/windows.lua`
 *     number of quantities [1], then for each: length [1], name
 *     then for each window: length [2], name of the limit
 *     number of records in other slots [1], then for each: length [2], hash tag, length [2], key
 *
 * The first subjects are those of the shape, in its order. The first quantities are those of the shape.
 */
export function encodeRecord(
  { shape, subjects }: { readonly shape: Shape; readonly subjects: readonly Subject[] },
  quantities: readonly string[],
  others: readonly RecordName[],
  { periods, nowMs }: { readonly periods: PeriodCache; readonly nowMs: number },
): Buffer {
  const all = [...new Set([...subjects, ...subjects.flatMap(({ owner }) => owner ?? [])])];
  const parts: Buffer[] = [Buffer.of(all.length)];
  for (const { key, owner } of all) {
    parts.push(Buffer.of(owner === null ? 0 : all.indexOf(owner) + 1), lengthOf(key, 2), Buffer.from(key));
  }
  parts.push(encodeShape(shape, periods, nowMs), Buffer.of(quantities.length));
  for (const name of quantities) parts.push(lengthOf(name, 1), Buffer.from(name));
  for (const { limit } of shape.windows) parts.push(lengthOf(limit.name, 2), Buffer.from(limit.name));
  parts.push(Buffer.of(others.length));
  for (const { tag, key } of others) {
    parts.push(lengthOf(tag, 2), Buffer.from(tag), lengthOf(key, 2), Buffer.from(key));
  }
  return Buffer.concat(parts);
}

export interface RecordName {
  readonly tag: string;
  readonly key: string;
}

/** What the state of a window states about its limit. */
export type LimitOfState = Pick<Limit, 'name' | 'of' | 'limit' | 'windowMs' | 'burst' | 'mode'>;

export interface DecodedRecord {
  /** For each window its limit, and whether it counts the reserved part of the limit before it. */
  readonly windows: readonly { readonly limit: LimitOfState; readonly isReserved: boolean }[];
  readonly quantities: readonly string[];
  readonly others: readonly RecordName[];
}

const numberBytes = 6;

export function decodeRecord(bytes: Buffer): DecodedRecord {
  let at = 1;
  for (let subject = 0; subject < bytes.readUInt8(0); subject += 1) at += 3 + bytes.readUInt16LE(at + 1);
  const windowCount = bytes.readUInt16LE(at);
  at += 6;
  const encoded = Array.from({ length: windowCount }, () => {
    const from = at;
    const number = (index: number): number => bytes.readUIntLE(from + 3 + index * numberBytes, numberBytes);
    at += 3 + 8 * numberBytes;
    at += 1 + bytes.readUInt8(at);
    const bits = bytes.readUInt8(from + 1);
    return {
      isReserved: (bits & 4) !== 0,
      mode: (bits & 2) === 0 ? ('enforce' as const) : ('shadow' as const),
      quantity: bytes.readUInt8(from + 2) - 1,
      ...{ limit: number(0), windowMs: number(1), burst: number(2) },
    };
  });
  const quantities = Array.from({ length: byte() }, () => text(byte()));
  const windows = encoded.map(({ quantity, isReserved, ...limit }) => {
    return { limit: { ...limit, name: text(length()), of: quantities[quantity] ?? '' }, isReserved };
  });
  const others = Array.from({ length: byte() }, () => ({ tag: text(length()), key: text(length()) }));
  return { windows, quantities, others };

  function byte(): number {
    at += 1;
    return bytes.readUInt8(at - 1);
  }

  function length(): number {
    at += 2;
    return bytes.readUInt16LE(at - 2);
  }

  function text(size: number): string {
    at += size;
    return bytes.toString('utf8', at - size, at);
  }
}

/** The part of a record that changes. */
export interface RecordHead {
  readonly state: 'open' | 'settled' | 'cancelled';
  readonly endsAtMs: number;
  readonly settlement: number;
  readonly extension: number;
  readonly charged: readonly number[];
}

const states = ['open', 'settled', 'cancelled'] as const;
const headBytes = 21;

export function decodeHead(bytes: Buffer): RecordHead {
  return {
    state: states[bytes.readUInt8(0)] ?? 'open',
    endsAtMs: bytes.readUIntLE(1, numberBytes),
    settlement: bytes.readUIntLE(7, numberBytes),
    extension: bytes.readUIntLE(13, numberBytes),
    charged: decodeAmounts(bytes.subarray(headBytes)),
  };
}

export function encodeAmounts(amounts: readonly number[]): Buffer {
  const bytes = Buffer.alloc(amounts.length * numberBytes);
  amounts.forEach((amount, index) => bytes.writeUIntLE(amount, index * numberBytes, numberBytes));
  return bytes;
}

function decodeAmounts(bytes: Buffer): number[] {
  const count = Math.floor(bytes.length / numberBytes);
  return Array.from({ length: count }, (_, index) => bytes.readUIntLE(index * numberBytes, numberBytes));
}

function lengthOf(text: string, size: 1 | 2): Buffer {
  const length = Buffer.alloc(size);
  length.writeUIntLE(Buffer.byteLength(text), 0, size);
  return length;
}

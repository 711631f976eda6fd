import type { LimitState } from '../../domain/limit.ts';
import { isCost, stateOf } from './check.ts';
import type { CheckRequest } from './check.ts';
import type { PeriodCache } from './periods.ts';
import { encodeShape } from './shape-bytes.ts';
import type { Subject } from './subjects.ts';
import type { Shape } from './windows.ts';

/** A check before its decision. `subjects` has one subject for each of the shape's kinds. */
export interface PendingCheck {
  readonly request: CheckRequest;
  readonly shape: Shape;
  readonly subjects: readonly Subject[];
}

export interface EncodedBatch {
  readonly keys: readonly string[];
  readonly args: readonly (string | number | Buffer)[];
}

export interface BatchOptions {
  /** Redis's time in tests; empty in production. */
  readonly timeMs: number | '';
  readonly epochMs: number;
  /** This node's time, accurate enough to choose the calendar periods around Redis's time. */
  readonly nowMs: number;
  readonly periods: PeriodCache;
}

const checkBytes = 6;
const subjectBytes = 4;

/**
 * Encodes the arguments of `decide.lua`: keys and shapes once per batch, all checks as bytes in one argument. One argument for
 * each number would cost both sides more: it is written, parsed and converted on its own.
 */
export function encodeBatch(checks: readonly PendingCheck[], options: BatchOptions): EncodedBatch {
  const keys: string[] = [];
  const shapes: Shape[] = [];
  let size = 0;
  for (const { subjects } of checks) size += checkBytes + subjectBytes * subjects.length;
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  // A new object identifies this batch, so that a subject stores its index in it without a map.
  const batch = {};
  for (const { request, shape, subjects } of checks) {
    let index = shapes.indexOf(shape);
    if (index === -1) index = shapes.push(shape) - 1;
    const valid = isCost(request.cost);
    at = bytes.writeUInt16LE((index + 1) * 2 + (request.peek || !valid ? 1 : 0), at);
    at = bytes.writeUInt32LE(valid ? request.cost : 1, at);
    for (const subject of subjects) {
      at = bytes.writeUInt16LE(keyIndexOf(subject), at);
      at = bytes.writeUInt16LE(subject.owner === null ? 0 : keyIndexOf(subject.owner), at);
    }
  }
  const packed = shapes.map((shape) => encodeShape(shape, options.periods, options.nowMs));
  return { keys, args: [options.timeMs, options.epochMs, bytes, ...packed] };

  function keyIndexOf(subject: Subject): number {
    if (subject.batch !== batch) {
      subject.batch = batch;
      subject.index = keys.push(subject.key);
    }
    return subject.index;
  }
}

const numberBytes = 6;
const headNumbers = 3;
const windowNumbers = 3;

export interface DecodedBatch {
  /** The timestamp under which the units were counted. */
  readonly countedAtMs: number;
  /** Windows whose timestamps were ahead of Redis's clock and were moved to now. */
  readonly correctedWindows: number;
  readonly states: readonly LimitState[][];
}

/** Decodes the reply of `decide.lua`, check by check. Throws where its length does not fit the checks. */
export function decodeBatch(reply: unknown, checks: readonly PendingCheck[]): DecodedBatch {
  const windows = checks.reduce((sum, { shape }) => sum + shape.windows.length, 0);
  if (!Buffer.isBuffer(reply) || reply.length !== (headNumbers + windows * windowNumbers) * numberBytes) {
    throw new Error('decide.lua replied in a wrong shape');
  }
  const nowMs = reply.readUIntLE(0, numberBytes);
  const countedAtMs = reply.readUIntLE(numberBytes, numberBytes);
  const correctedWindows = reply.readUIntLE(2 * numberBytes, numberBytes);
  let at = headNumbers * numberBytes;
  const states = checks.map(({ shape }) =>
    shape.windows.map(({ limit }) => {
      const remaining = reply.readUIntLE(at, numberBytes);
      const resetInMs = reply.readUIntLE(at + numberBytes, numberBytes);
      const waitMs = reply.readUIntLE(at + 2 * numberBytes, numberBytes) - 1;
      at += windowNumbers * numberBytes;
      return stateOf(limit, nowMs, { remaining, resetInMs, waitMs });
    }),
  );
  return { countedAtMs, correctedWindows, states };
}

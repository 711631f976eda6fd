import type { LimitState } from '../../domain/limit.ts';
import { isCost, stateOf } from './check.ts';
import type { CheckRequest } from './check.ts';
import type { PeriodCache } from './periods.ts';
import { encodeShape } from './shape-bytes.ts';
import type { Subject } from './subjects.ts';
import type { Shape } from './windows.ts';

/** A check that is not decided yet. `subjects` has one subject (tenant, user or address) for each kind in `shape.subjects`. */
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
  /** Time that replaces Redis's clock in tests; empty in production. */
  readonly timeMs: number | '';
  readonly epochMs: number;
  /** This node's time: selects the calendar periods that are sent. The script chooses among them by Redis's time. */
  readonly nowMs: number;
  readonly periods: PeriodCache;
}

const checkBytes = 6;
const subjectBytes = 4;

/**
 * Encodes the arguments of `decide.lua`. Each key and each shape is sent once per batch, and all checks are bytes in one
 * argument. One argument for each number would cost more CPU here and in Redis, because each argument is written, parsed and
 * converted separately.
 */
export function encodeBatch(checks: readonly PendingCheck[], options: BatchOptions): EncodedBatch {
  const keys: string[] = [];
  const shapes: Shape[] = [];
  let size = 0;
  for (const { subjects } of checks) size += checkBytes + subjectBytes * subjects.length;
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  // Identifies this batch. Each subject stores this object and the index of the subject's key in the batch, so no map
  // from subjects to indexes is needed.
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
  /** Timestamp with which the script stored the units, Unix milliseconds. */
  readonly countedAtMs: number;
  /** Number of windows whose timestamps were ahead of Redis's clock and were set to the current time. */
  readonly correctedWindows: number;
  readonly states: readonly LimitState[][];
}

/** Decodes the reply of `decide.lua` into the states of each check. Throws if the reply's length does not match the checks. */
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

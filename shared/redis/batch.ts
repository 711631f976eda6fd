import type { LimitState } from '../domain/limit.ts';
import { isCost, stateOf } from './check.ts';
import type { CheckRequest } from './check.ts';
import type { PeriodCache } from './periods.ts';
import type { Subject } from './subjects.ts';
import type { Shape } from './windows.ts';

/** A check on its way: what was asked, and of whom (one subject for each of the shape's). */
export interface PendingCheck {
  readonly request: CheckRequest;
  readonly shape: Shape;
  readonly subjects: readonly Subject[];
}

type Argument = string | number;

export interface EncodedBatch {
  readonly keys: readonly string[];
  readonly args: readonly Argument[];
}

export interface BatchOptions {
  /** Empty in production; tests give Redis's time. */
  readonly timeMs: number | '';
  readonly epochMs: number;
  /** This node's time, near enough to find the calendar periods around Redis's. */
  readonly nowMs: number;
  readonly periods: PeriodCache;
}

/** More than the keys of a batch: sixteen checks of at most six subjects and as many owners. */
const keysMax = 1024;

/** Arguments of `decide.lua`. Keys and shapes are written once per batch, and so read once by the script. */
export function encodeBatch(checks: readonly PendingCheck[], options: BatchOptions): EncodedBatch {
  const keys: string[] = [];
  const shapes = new Map<Shape, number>();
  const shapeArgs: Argument[] = [];
  const checkArgs: Argument[] = [];
  // A fresh object marks this batch, so that a subject knows its place in it without a map.
  const batch = {};
  for (const { request, shape, subjects } of checks) {
    let index = shapes.get(shape);
    if (index === undefined) {
      shapes.set(shape, (index = shapes.size + 1));
      encodeShape(shape, options, shapeArgs);
    }
    const valid = isCost(request.cost);
    checkArgs.push(index * 2 + (request.peek || !valid ? 1 : 0), valid ? request.cost : 1);
    for (const subject of subjects) {
      checkArgs.push(place(subject) * keysMax + (subject.owner === null ? 0 : place(subject.owner)));
    }
  }
  return { keys, args: [options.timeMs, options.epochMs, shapes.size, ...shapeArgs, ...checkArgs] };

  function place(subject: Subject): number {
    if (subject.batch !== batch) {
      subject.batch = batch;
      subject.index = keys.push(subject.key);
    }
    return subject.index;
  }
}

function encodeShape(shape: Shape, { periods, nowMs }: BatchOptions, args: Argument[]): void {
  args.push(shape.windows.length, shape.subjects.length);
  shape.windows.forEach((window, index) => {
    args.push((shape.subjectOf[index] ?? 0) + 1, window.field, window.period === null ? 0 : 1);
    args.push(window.units, window.spanMs, window.burst, window.shadow ? 1 : 0, window.grainMs);
    if (window.period === null) {
      args.push(0, 0, 0, 0);
      return;
    }
    const { before, start, finish, after } = periods.around(window.period, shape.timeZone, nowMs);
    args.push(before, start, finish, after);
  });
}

const numberBytes = 6;
const headNumbers = 2;
const windowNumbers = 3;

export interface DecodedBatch {
  /** Under which the units were counted. */
  readonly stampMs: number;
  readonly states: readonly LimitState[][];
}

/** What the script said, check by check. Throws where the reply is not of the shape that was asked for. */
export function decodeBatch(reply: unknown, checks: readonly PendingCheck[]): DecodedBatch {
  const windows = checks.reduce((sum, { shape }) => sum + shape.windows.length, 0);
  if (!Buffer.isBuffer(reply) || reply.length !== (headNumbers + windows * windowNumbers) * numberBytes) {
    throw new Error('decide.lua answered out of shape');
  }
  const nowMs = reply.readUIntLE(0, numberBytes);
  const stampMs = reply.readUIntLE(numberBytes, numberBytes);
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
  return { stampMs, states };
}

import type { LimitState } from '../../domain/limit.ts';
import { amountOf, isValidRequest, stateOf } from './check.ts';
import type { CheckRequest } from './check.ts';
import type { PeriodCache } from './periods.ts';
import { encodeShape } from './shape-bytes.ts';
import type { Subject } from './subjects.ts';
import type { Shape } from './windows.ts';
import { decodeStored } from '../reservations/pending-reservation.ts';
import type { PendingReservation, StoredReservation } from '../reservations/pending-reservation.ts';
import { encodeAmounts } from '../reservations/record-bytes.ts';
import type { LeaseGrant, LeaseRequest } from '../unit-leases/unit-lease.ts';

/** A check that is not decided yet. `subjects` has one subject (tenant, user or address) for each kind in `shape.subjects`. */
export interface PendingCheck {
  readonly request: CheckRequest;
  readonly shape: Shape;
  readonly subjects: readonly Subject[];
  readonly reservation?: PendingReservation;
  /** Units to lease beside the check. Only for a valid check that charges, or with a cost of 0, to renew a lease. */
  readonly lease?: LeaseRequest;
}

/** Hash tag of the keys of a check. */
export function tagOf({ subjects, reservation }: PendingCheck): string {
  return subjects[0]?.tag ?? reservation?.record.tag ?? '{}';
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
const numberBytes = 6;
const reservationBytes = 16;
const leaseBytes = 10;
const peekFlag = 1;
const reservationFlag = 2;
const leaseFlag = 4;
const flagsPerShape = 8;
const noReservations: readonly PendingReservation[] = [];

/**
 * Encodes the arguments of `decide.lua`. Each key and each shape is sent once per batch, and all checks are bytes in one
 * argument. One argument for each number would cost more CPU here and in Redis, because each argument is written, parsed and
 * converted separately.
 */
export function encodeBatch(checks: readonly PendingCheck[], options: BatchOptions): EncodedBatch {
  const keys: string[] = [];
  const shapes: Shape[] = [];
  let reservations: PendingReservation[] | null = null;
  let size = 0;
  for (const check of checks) size += sizeOf(check);
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  // Identifies this batch. Each subject stores this object and the index of the subject's key in the batch, so no map
  // from subjects to indexes is needed.
  const batch = {};
  for (const { request, shape, subjects, reservation, lease } of checks) {
    let index = shapes.indexOf(shape);
    if (index === -1) index = shapes.push(shape) - 1;
    const valid = lease !== undefined || isValidRequest(request);
    const reserves = reservation !== undefined && valid;
    const flags =
      (request.peek || !valid ? peekFlag : 0) +
      (reserves ? reservationFlag : 0) +
      (lease === undefined ? 0 : leaseFlag);
    at = bytes.writeUInt16LE((index + 1) * flagsPerShape + flags, at);
    at = bytes.writeUInt32LE(valid ? request.cost : 1, at);
    for (const subject of subjects) {
      at = bytes.writeUInt16LE(keyIndexOf(subject), at);
      at = bytes.writeUInt16LE(subject.owner === null ? 0 : keyIndexOf(subject.owner), at);
    }
    for (let quantity = 1; quantity < shape.quantities.length; quantity += 1) {
      at = bytes.writeUIntLE(valid ? amountOf(request, shape.quantities, quantity) : 0, at, numberBytes);
    }
    if (lease !== undefined) {
      at = bytes.writeUInt32LE(lease.units, at);
      at = bytes.writeUInt16LE(lease.lifeMs, at);
      at = bytes.writeUInt32LE(lease.heldUnits, at);
    }
    if (!reserves) continue;
    reservations ??= [];
    at = bytes.writeUInt16LE(keys.push(reservation.record.key), at);
    at = bytes.writeUInt16LE(reservations.push(reservation) - 1, at);
    at = bytes.writeUIntLE(reservation.request.expiresMs, at, numberBytes);
    at = bytes.writeUIntLE(reservation.ttlMs, at, numberBytes);
  }
  const checkBytesUsed = at === size ? bytes : bytes.subarray(0, at);
  const args: (string | number | Buffer)[] = [options.timeMs, options.epochMs, checkBytesUsed];
  for (const shape of shapes) args.push(encodeShape(shape, options.periods, options.nowMs));
  for (const { record, request, amounts } of reservations?.reverse() ?? noReservations) {
    args.push(record.bytes, request.details, encodeAmounts(amounts));
  }
  return { keys, args };

  function keyIndexOf(subject: Subject): number {
    if (subject.batch !== batch) {
      subject.batch = batch;
      subject.index = keys.push(subject.key);
    }
    return subject.index;
  }
}

function sizeOf({ shape, subjects, reservation, lease }: PendingCheck): number {
  const amounts = (shape.quantities.length - 1) * numberBytes;
  const extra = (reservation === undefined ? 0 : reservationBytes) + (lease === undefined ? 0 : leaseBytes);
  return checkBytes + subjectBytes * subjects.length + amounts + extra;
}

const headNumbers = 3;
const windowNumbers = 3;
const leaseNumbers = 2;

export interface DecodedBatch {
  /** Timestamp with which the script stored the units, Unix milliseconds. */
  readonly countedAtMs: number;
  /** Number of windows whose timestamps were ahead of Redis's clock and were set to the current time. */
  readonly correctedWindows: number;
  readonly states: readonly LimitState[][];
  /** For each check, the lease that was granted beside it; null if it requested none. */
  readonly grants: readonly (LeaseGrant | null)[];
  /** For each check, what was stored for its reservation before; null if nothing was, or if it has no reservation. */
  readonly stored: readonly (StoredReservation | null)[];
  /** Time of Redis in Unix milliseconds, with microseconds as a fraction. */
  readonly redisTimeMs: number;
}

const noneStored: readonly null[] = [];

/** Decodes the reply of `decide.lua` into the states of each check. Throws if the reply's length does not match the checks. */
export function decodeBatch(reply: unknown, checks: readonly PendingCheck[]): DecodedBatch {
  const windows = checks.reduce((sum, { shape }) => sum + shape.windows.length, 0);
  const leases = checks.reduce((sum, { lease }) => sum + (lease === undefined ? 0 : 1), 0);
  const fixedBytes = (headNumbers + windows * windowNumbers + leases * leaseNumbers) * numberBytes;
  const reserves = checks.some(({ reservation }) => reservation !== undefined);
  if (!Buffer.isBuffer(reply) || (reserves ? reply.length < fixedBytes : reply.length !== fixedBytes)) {
    throw new Error('decide.lua replied in a wrong shape');
  }
  const nowMs = reply.readUIntLE(0, numberBytes);
  const countedAtMs = reply.readUIntLE(numberBytes, numberBytes);
  const correctedAndMicros = reply.readUIntLE(2 * numberBytes, numberBytes);
  const micros = correctedAndMicros % 1000;
  const correctedWindows = (correctedAndMicros - micros) / 1000;
  let at = headNumbers * numberBytes;
  const grants: (LeaseGrant | null)[] = [];
  const states = checks.map(({ shape, lease }) => {
    const own = shape.windows.map(({ limit }) => {
      const remaining = reply.readUIntLE(at, numberBytes);
      const resetInMs = reply.readUIntLE(at + numberBytes, numberBytes);
      const waitMs = reply.readUIntLE(at + 2 * numberBytes, numberBytes) - 1;
      at += windowNumbers * numberBytes;
      return stateOf(limit, nowMs, { remaining, resetInMs, waitMs });
    });
    grants.push(lease === undefined ? null : readGrant(reply));
    return own;
  });
  const stored = reserves ? decodeAllStored(reply, at, checks) : noneStored;
  return { countedAtMs, correctedWindows, states, grants, stored, redisTimeMs: nowMs + micros / 1000 };

  function readGrant(bytes: Buffer): LeaseGrant {
    const units = bytes.readUIntLE(at, numberBytes);
    const epoch = bytes.readUIntLE(at + numberBytes, numberBytes);
    at += leaseNumbers * numberBytes;
    return { units, epoch };
  }
}

function decodeAllStored(
  reply: Buffer,
  from: number,
  checks: readonly PendingCheck[],
): (StoredReservation | null)[] {
  let at = from;
  return checks.map(({ request, reservation }) => {
    if (reservation === undefined || !isValidRequest(request)) return null;
    const { stored, next } = decodeStored(reply, at);
    at = next;
    return stored;
  });
}

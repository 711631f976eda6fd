import type { CheckRequest } from '../decision/check.ts';
import type { PeriodCache } from '../decision/periods.ts';
import type { Subject, Subjects } from '../decision/subjects.ts';
import type { Shape } from '../decision/windows.ts';
import { idPart } from '../keys.ts';
import { decodeHead, encodeRecord } from './record-bytes.ts';
import type { RecordHead } from './record-bytes.ts';
import type {
  CheckedReservation,
  Reservation,
  ReservationRecord,
  ReservationRequest,
} from './reservation.ts';

/** The reservation of a check that is not decided yet, in one slot. */
export interface PendingReservation {
  readonly request: ReservationRequest;
  readonly record: ReservationRecord;
  /** Names of the quantities of the record, and their amounts. The first is `requests` with the cost of the check. */
  readonly quantities: readonly string[];
  readonly amounts: readonly number[];
  readonly ttlMs: number;
}

/** What Redis had stored for the id of a reservation. */
export interface StoredReservation {
  readonly head: RecordHead;
  readonly details: string;
}

/** How long a record is kept after its end at least, for settlements that come late. */
export const lateSettlementMs = 86_400_000;

export interface SlotPart {
  readonly shape: Shape;
  readonly subjects: readonly Subject[];
}

/** Returns the reservation of a check in the slot of `home`. `others` are its records in other slots, for the tenant's record. */
export function pendingReservation(
  request: CheckRequest & { readonly reservation: ReservationRequest },
  part: SlotPart,
  home: Subject,
  others: readonly ReservationRecord[],
  time: { readonly periods: PeriodCache; readonly nowMs: number },
): PendingReservation {
  const { amounts = {}, cost, reservation } = request;
  const own = part.shape.quantities;
  const quantities = [...own, ...Object.keys(amounts).filter((name) => !own.includes(name))];
  const longestMs = Math.max(0, ...part.shape.windows.map(({ spanMs }) => spanMs));
  return {
    request: reservation,
    record: {
      key: recordKey(home, request.tenantId, reservation.id),
      tag: home.tag,
      bytes: encodeRecord(part, quantities, others, time),
      part,
      details: reservation.details,
      endsAtMs: time.nowMs + reservation.expiresMs,
    },
    quantities,
    amounts: quantities.map((name, index) => (index === 0 ? cost : (amounts[name] ?? 0))),
    ttlMs: reservation.expiresMs + Math.max(lateSettlementMs, longestMs),
  };
}

/**
 * Returns the key of a record. Outside the tenant's slot the key also contains the tenant, because several tenants may use the
 * same id.
 */
export function recordKey({ key, tag, owner }: Subject, tenantId: string | null, id: string): string {
  const prefix = key.slice(0, key.indexOf(tag) + tag.length);
  const tenant = owner === null && tenantId !== null ? `${idPart(tenantId)}:` : '';
  return `${prefix}:r:${tenant}${idPart(id)}`;
}

/** Returns the subject whose slot has the record that `findReservation` reads. */
export function homeOf(request: CheckRequest, subjects: Subjects): Subject {
  const { tenantId } = request;
  return tenantId === null ? subjects.of('address', request) : subjects.tenant(tenantId);
}

/** Returns the reservation of a check that passed. The last of `parts` is in the slot of the home. */
export function checkedReservation(
  tenantId: string | null,
  parts: readonly PendingReservation[],
  stored: StoredReservation | null,
  nowMs: number,
): CheckedReservation {
  const home = parts.at(-1);
  if (home === undefined) throw new TypeError('A reservation has a part in the slot of its tenant.');
  const handle: Reservation = {
    id: home.request.id,
    tenantId,
    quantities: home.quantities,
    charged: stored?.head.charged ?? home.amounts,
    extension: stored?.head.extension ?? 0,
    settlement: stored?.head.settlement ?? 0,
    endsAtMs: stored?.head.endsAtMs ?? nowMs + home.request.expiresMs,
    records: parts.map(({ record }) => record),
  };
  if (stored === null) return { handle, existing: null };
  return { handle, existing: { state: stateOf(stored.head, nowMs), details: stored.details } };
}

export function stateOf({ state, endsAtMs }: RecordHead, nowMs: number): 'expired' | RecordHead['state'] {
  return state === 'open' && nowMs >= endsAtMs ? 'expired' : state;
}

/** Reads the reply of `decide.lua` for one reservation at `from`. Returns what was stored before, and the next position. */
export function decodeStored(
  reply: Buffer,
  from: number,
): { stored: StoredReservation | null; next: number } {
  if (reply.readUIntLE(from, 6) === 0) return { stored: null, next: from + 6 };
  const headAt = from + 12;
  const detailsAt = headAt + reply.readUIntLE(from + 6, 6) + 6;
  const next = detailsAt + reply.readUIntLE(detailsAt - 6, 6);
  const head = decodeHead(reply.subarray(headAt, detailsAt - 6));
  return { stored: { head, details: reply.toString('utf8', detailsAt, next) }, next };
}

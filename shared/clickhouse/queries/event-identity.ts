import { hash } from 'node:crypto';
import { uuidTimeMs } from '../../runtime/uuid-time.ts';

/** The parts of an event id as they are stored. Together with the event's time they identify the event. */
export interface StoredIdentity {
  /** Milliseconds by which the time in a UUIDv7 is later than the event's time; 0 for other ids. */
  readonly idSkewMs: number;
  readonly idA: number;
  /** 62 bits as decimal text, because a JavaScript number cannot hold them exactly. */
  readonly idB: string;
  /** The id that the client sent; empty if the id is the UUIDv7 of a request. */
  readonly externalId: string;
}

const skewMsMax = 2 ** 31 - 1;

/**
 * Returns the identity of a request: the parts of its UUIDv7. Returns null if the id is not a UUIDv7, or the time in the id
 * differs from the event's time by more than 24 days.
 */
export function requestIdentity(id: string, timeMs: number): StoredIdentity | null {
  const madeMs = uuidTimeMs(id);
  if (madeMs === null) return null;
  const idSkewMs = madeMs - timeMs;
  if (Math.abs(idSkewMs) > skewMsMax) return null;
  return { idSkewMs, ...bitsOf(id.slice(15, 18), id.slice(19, 23) + id.slice(24)), externalId: '' };
}

/**
 * Longest difference between the time in the id of a decision and the time of its event: the clocks of two threads may differ a
 * little.
 */
const decisionSlackMs = 60_000;

/** Returns the span of the times of the events of decisions whose ids contain times from `firstMs` to `lastMs`. */
export function spanOfDecisions(
  firstMs: number,
  lastMs: number,
): { readonly from: number; readonly to: number } {
  return { from: firstMs - decisionSlackMs, to: lastMs + decisionSlackMs };
}

/** The id of a decision as it is stored, and the span of its event's time (Unix milliseconds). Null if it is not a UUIDv7. */
export function decisionSpan(
  id: string,
): { readonly id: string; readonly from: number; readonly to: number } | null {
  const lowerId = id.toLowerCase();
  const timeMs = uuidTimeMs(lowerId);
  return timeMs === null ? null : { id: lowerId, ...spanOfDecisions(timeMs, timeMs) };
}

/**
 * Returns the identity of any other event: 74 bits of a hash of (tenant, source, id). Two events of one tenant would be stored as
 * one only if these 74 bits and their milliseconds were equal.
 */
export function externalIdentity(tenantId: string, source: string, id: string): StoredIdentity {
  const digest = externalKey(tenantId, source, id).replaceAll('-', '');
  return { idSkewMs: 0, ...bitsOf(digest.slice(0, 3), digest.slice(16, 32)), externalId: id };
}

/**
 * Returns the hash of (tenant, source, id) in the form of a UUID. It is the key of the table `stored_ids`, which holds the first
 * Kafka offset of each external id.
 */
export function externalKey(tenantId: string, source: string, id: string): string {
  return keyOf([tenantId, source, id]);
}

/** Returns the key in `stored_ids` of a correction with this id. The id of a correction may equal that of its event. */
export function correctionKey(tenantId: string, source: string, id: string): string {
  return keyOf([tenantId, source, id, 'correction']);
}

function keyOf(parts: readonly string[]): string {
  const digest = hash('sha256', JSON.stringify(parts), 'hex');
  return [
    digest.slice(0, 8),
    digest.slice(8, 12),
    digest.slice(12, 16),
    digest.slice(16, 20),
    digest.slice(20, 32),
  ].join('-');
}

function bitsOf(hexA: string, hexB: string): { idA: number; idB: string } {
  return {
    idA: Number.parseInt(hexA, 16),
    idB: (BigInt(`0x${hexB}`) & 0x3fff_ffff_ffff_ffffn).toString(),
  };
}

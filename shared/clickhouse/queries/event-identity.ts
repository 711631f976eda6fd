import { hash } from 'node:crypto';
import { uuidTimeMs } from '../../runtime/uuid-time.ts';

/** The stored parts of an event id: together with the event's time they are the id. */
export interface StoredIdentity {
  /** Millisecond in a UUIDv7 minus the event's own; 0 for other ids. */
  readonly idSkewMs: number;
  readonly idA: number;
  /** 62 bits as decimal text: more than a number can hold. */
  readonly idB: string;
  /** The id as sent where it is not the UUIDv7 of a request, else empty. */
  readonly externalId: string;
}

const skewMsMax = 2 ** 31 - 1;

/** Identity of a request: the parts of its UUIDv7. Null when the id is no UUIDv7 or its time is far from the event's. */
export function requestIdentity(id: string, timeMs: number): StoredIdentity | null {
  const madeMs = uuidTimeMs(id);
  if (madeMs === null) return null;
  const idSkewMs = madeMs - timeMs;
  if (Math.abs(idSkewMs) > skewMsMax) return null;
  return { idSkewMs, ...bitsOf(id.slice(15, 18), id.slice(19, 23) + id.slice(24)), externalId: '' };
}

/**
 * Identity of any other event: 74 bits of a hash of (tenant, source, id). Only two events of one tenant with the same
 * 74 bits and the same millisecond would be stored as one.
 */
export function externalIdentity(tenantId: string, source: string, id: string): StoredIdentity {
  const digest = externalKey(tenantId, source, id).replaceAll('-', '');
  return { idSkewMs: 0, ...bitsOf(digest.slice(0, 3), digest.slice(16, 32)), externalId: id };
}

/** The same hash as a UUID: the key of `stored_ids`, which holds the first Kafka offset of each external id. */
export function externalKey(tenantId: string, source: string, id: string): string {
  const digest = hash('sha256', JSON.stringify([tenantId, source, id]), 'hex');
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

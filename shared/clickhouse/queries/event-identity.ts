import { hash } from 'node:crypto';

/** What of an id is stored: together with the time it is the id. */
export interface StoredIdentity {
  /** Millisecond in a UUIDv7 minus the event's own; 0 for other ids. */
  readonly idSkewMs: number;
  readonly idA: number;
  /** 62 bits, decimal: more than a number holds. */
  readonly idB: string;
  /** The id as sent where it is not the UUIDv7 of a request, else empty. */
  readonly foreignId: string;
}

const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const skewMsMax = 2 ** 31 - 1;

/** Identity of a request: its UUIDv7 taken apart. Null when the id is none or its time is far from the event's. */
export function requestIdentity(id: string, timeMs: number): StoredIdentity | null {
  if (!uuidV7.test(id)) return null;
  const idSkewMs = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) - timeMs;
  if (Math.abs(idSkewMs) > skewMsMax) return null;
  return { idSkewMs, ...bitsOf(id.slice(15, 18), id.slice(19, 23) + id.slice(24)), foreignId: '' };
}

/** Millisecond at which a UUIDv7 was made; null for any other id. */
export function uuidTimeMs(id: string): number | null {
  return uuidV7.test(id) ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : null;
}

/**
 * Identity of any other event: 74 bits of a hash of (tenant, source, id). Two events of one tenant would have to share
 * these and their millisecond to be taken for one.
 */
export function foreignIdentity(tenantId: string, source: string, id: string): StoredIdentity {
  const digest = foreignKey(tenantId, source, id).replaceAll('-', '');
  return { idSkewMs: 0, ...bitsOf(digest.slice(0, 3), digest.slice(16, 32)), foreignId: id };
}

/** The same hash as a UUID: where the id was first seen is kept under it. */
export function foreignKey(tenantId: string, source: string, id: string): string {
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

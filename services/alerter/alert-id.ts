import { v5 } from 'uuid';

/** Made once for Tollgate's alerts; a UUIDv5 is the SHA-1 of a namespace and a name (RFC 9562, section 5.5). */
const namespace = '9c1c4b0e-5f4b-4b57-9d0e-6d1a7c0a54c1';

/**
 * The id of an alert, the same whoever computes it and however often: that is what makes a repeat recognisable.
 * `what` is a threshold (a share of the limit) or a kind that has none. As JSON, so that no two quadruples spell the same name.
 */
export function alertIdOf(
  tenantId: string,
  limitName: string,
  period: string,
  what: number | string,
): string {
  return v5(JSON.stringify([tenantId, limitName, period, what]), namespace);
}

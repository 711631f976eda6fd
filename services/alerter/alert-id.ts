import { v5 } from 'uuid';

/** Made once for Tollgate's alerts; a UUIDv5 is the SHA-1 of a namespace and a name (RFC 9562, section 5.5). */
const namespace = '9c1c4b0e-5f4b-4b57-9d0e-6d1a7c0a54c1';

/**
 * The id of an alert, the same whoever computes it and however often: that is what makes a repeat recognisable.
 * `what` is a threshold (a share of the limit) or a kind that has none. A reset or a raised limit begins another generation
 * of the period's alerts: only from the second on is it a part of the id. As JSON, so that no two spell the same name.
 */
export function alertIdOf(
  tenantId: string,
  limitName: string,
  period: string,
  what: number | string,
  generation = 0,
): string {
  const parts = [tenantId, limitName, period, what, ...(generation === 0 ? [] : [generation])];
  return v5(JSON.stringify(parts), namespace);
}

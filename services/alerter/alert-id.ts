import { v5 } from 'uuid';

/** Namespace of Tollgate's alerts: a UUIDv5 is the SHA-1 of a namespace and a name (RFC 9562, section 5.5). */
const namespace = '9c1c4b0e-5f4b-4b57-9d0e-6d1a7c0a54c1';

/**
 * Returns the id of an alert. Every alerter computes the same id, so that a repeated alert is recognised. `what` is a
 * threshold (a share of the limit), or the kind of an alert that has no threshold. A reset or a raised limit begins the
 * next generation of the period's alerts; from generation 1 on, the generation is part of the id. The name is JSON, so
 * that two different lists of parts never have the same name.
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

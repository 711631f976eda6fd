import type { LimitState } from '../domain/limit.ts';

/**
 * Why a credential was not accepted.
 *
 * - 401: it is bad.
 * - 503: whether it is good could not be found out.
 * - 429: too many bad ones came from its address. It is bad too, or was not examined.
 */
export type CredentialRefusal = PlainRefusal | RefusalOfAddress;

export interface PlainRefusal {
  readonly status: 401 | 503;
  readonly detail: string;
}

export interface RefusalOfAddress {
  readonly status: 429;
  readonly detail: string;
  /** How the limit of bad credentials stands; `retryAfterMs` is when a credential will be examined. */
  readonly state: LimitState & { readonly retryAfterMs: number };
}

export function badCredential(detail: string): PlainRefusal {
  return { status: 401, detail };
}

export function undecidedCredential(detail: string): PlainRefusal {
  return { status: 503, detail };
}

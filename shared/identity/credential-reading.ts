import type { IdentityKey } from '../domain/identity.ts';
import type { LimitState } from '../domain/limit.ts';
import type { Claims } from './claims.ts';

/** Result of reading a credential. */
export type CredentialReading = CallerReading | ServiceReading | RefusedReading;

export interface CallerReading {
  readonly kind: 'caller';
  readonly method: 'jwt' | 'api_key';
  readonly claims: Claims;
  /** The API key; absent for a JWT. */
  readonly apiKey?: IdentityKey;
  /** Unix milliseconds from which the credential is refused. Infinity or a very large number means never. */
  readonly untilMs: number;
}

export interface ServiceReading {
  readonly kind: 'service';
  readonly name: string;
}

export interface RefusedReading {
  readonly kind: 'refused';
  readonly rejection: CredentialRejection;
}

/**
 * Why a credential was refused.
 *
 * - 401: the credential is invalid.
 * - 503: the credential could not be verified at the moment.
 * - 429: too many invalid credentials came from the client's address. This credential is invalid too, or was not
 *   verified.
 */
export type CredentialRejection = PlainRejection | AddressRejection;

export interface PlainRejection {
  readonly status: 401 | 503;
  readonly detail: string;
}

export interface AddressRejection {
  readonly status: 429;
  readonly detail: string;
  /**
   * State of the limit of invalid credentials. `retryAfterMs` is the time after which credentials from the address are
   * verified again.
   */
  readonly state: LimitState & { readonly retryAfterMs: number };
}

export function badCredential(detail: string): PlainRejection {
  return { status: 401, detail };
}

export function undecidedCredential(detail: string): PlainRejection {
  return { status: 503, detail };
}

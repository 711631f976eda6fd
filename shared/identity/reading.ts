import type { Claims } from './claims.ts';
import type { CredentialRefusal } from './refusal.ts';

export interface CallerReading {
  readonly kind: 'caller';
  readonly method: 'jwt' | 'api_key';
  readonly claims: Claims;
  /** Unix milliseconds from which on the credential is refused; Infinity or a very large number for never. */
  readonly untilMs: number;
}

export interface RefusedReading {
  readonly kind: 'refused';
  readonly refusal: CredentialRefusal;
}

export interface ServiceReading {
  readonly kind: 'service';
  readonly name: string;
}

/** What a credential turned out to be. */
export type CredentialReading = CallerReading | ServiceReading | RefusedReading;

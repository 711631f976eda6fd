/** Who is calling, as verified. Anonymous callers have `tenantId` null and are limited by address. */
export interface Identity {
  readonly tenantId: string | null;
  readonly userId: string | null;
  /** Plan claimed by a verified token; the tenant's record has precedence. Null when the token names none. */
  readonly planClaim: string | null;
  /** Client address after trusted proxies; IPv6 as given (limits group it by /64). */
  readonly ip: string;
  /** Name of the internal service whose token was presented, or null. A service bypasses all limits. */
  readonly service: string | null;
  readonly method: 'jwt' | 'api_key' | 'service' | 'anonymous';
}

/** Longest tenant or user id accepted, in UTF-16 units. Longer ones are refused, never cut. */
export const idLengthMax = 256;

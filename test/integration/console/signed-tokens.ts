import { SignJWT } from 'jose';
import type { Tokens } from '../../../shared/sessions/tokens.ts';

export const jwtSecret = 'a-jwt-secret-of-tests-0123456789';

/** The token of a portal link that may manage API keys. */
export async function signLink(
  tokens: Tokens,
  tenantId: string,
  ttlMs: number,
  sessionTtlMs = 3_600_000,
): Promise<string> {
  return (await tokens.signLink(tenantId, ttlMs, { sessionTtlMs, managesKeys: true })).token;
}

export function signJwt(claims: Record<string, string>, lifetime = '10m'): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(lifetime)
    .sign(new TextEncoder().encode(jwtSecret));
}

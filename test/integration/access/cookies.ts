import type { Tokens } from '../../../shared/sessions/tokens.ts';

/** The values of the `Cookie` header, as a browser sends them. */
export async function portalCookie(tokens: Tokens, tenantId: string, ttlMs = 600_000): Promise<string> {
  return `tollgate_portal=${(await tokens.signTenant(tenantId, { via: 'jwt' }, ttlMs)).token}`;
}

export async function operatorCookie(tokens: Tokens, ttlMs = 600_000): Promise<string> {
  return `tollgate_operator=${(await tokens.signOperator('robin', ttlMs)).token}`;
}

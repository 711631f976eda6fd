import type { FastifyInstance } from 'fastify';
import { hasRole, roles } from '../../../shared/domain/operators/operator.ts';
import type { Role } from '../../../shared/domain/operators/operator.ts';
import type { Access } from '../../../shared/runtime/http/access.ts';
import type { OperatorSource } from '../../../shared/sessions/claims.ts';
import type { Tokens } from '../../../shared/sessions/tokens.ts';
import { operatorTokens } from '../console/fixture.ts';

/** The values of the `Cookie` header, as a browser sends them. */
export async function portalCookie(tokens: Tokens, tenantId: string, ttlMs = 600_000): Promise<string> {
  return `tollgate_portal=${(await tokens.signTenant(tenantId, { via: 'jwt', userId: null }, ttlMs)).token}`;
}

export async function operatorCookie(
  tokens: Tokens,
  ttlMs = 600_000,
  source: OperatorSource = { via: 'admin_token' },
): Promise<string> {
  return `tollgate_operator=${(await tokens.signOperator('robin', source, ttlMs)).token}`;
}

/** Accesses that an operator with the role has. */
export function opensFor(kind: 'operator-token' | 'operator-session', held: Role): readonly Access[] {
  return roles.filter((needed) => hasRole(held, needed)).map((needed): Access => `${kind}:${needed}`);
}

/** The cookie that the sign-in sets for the operator of this role. */
export async function roleCookie(consoleApp: FastifyInstance, role: Role): Promise<string> {
  const { headers } = await consoleApp.inject({
    method: 'POST',
    url: '/operator/sign-in',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: new URLSearchParams({ token: operatorTokens[role] }).toString(),
  });
  return String(headers['set-cookie']).split(';')[0] ?? '';
}

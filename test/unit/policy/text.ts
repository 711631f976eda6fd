import { parsePolicy } from '../../../shared/policy/load.ts';
import { readRequest } from '../../../services/gateway/enforcer/read-request.ts';
import { TollgateError } from '../../../shared/runtime/errors.ts';
import type { Policy, Route } from '../../../shared/domain/policy.ts';

export const policyEnv = {
  TOLLGATE_JWT_SECRET: 'a-secret-that-only-tests-know-of',
  TOLLGATE_SERVICE_TOKEN: 'a-service-token-that-only-tests-know',
};

/** Text of a minimal policy file; `parts` replaces or adds keys. */
export function policyText(parts: Readonly<Record<string, string>> = {}): string {
  const all: Record<string, string> = {
    version: '1',
    links: '{ documentation: https://docs.example.com/limits, upgrade: https://example.com/pricing }',
    default_plan: 'free',
    plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 5, window: 1m }] } }',
    ...parts,
  };
  return Object.entries(all)
    .map(([key, value]) => (value === '' ? '' : `${key}:${value.startsWith('\n') ? '' : ' '}${value}\n`))
    .join('');
}

/** Returns the route of a target in its normal form, which the upstream also gets. */
export function routeOf(policy: Policy, method: string, url: string, rewritten = true): Route | null {
  const { route, unreadable } = readRequest(policy, { method, url, rewritten });
  if (unreadable !== null) throw new Error(unreadable.detail);
  return route;
}

export function policyOf(parts: Readonly<Record<string, string>> = {}): Policy {
  return parsePolicy('policy.yaml', policyText(parts), policyEnv);
}

/** The violations of a refused policy, one on each line. */
export function violationsOf(
  parts: Readonly<Record<string, string>>,
  env: Record<string, string> = policyEnv,
): string[] {
  try {
    parsePolicy('policy.yaml', policyText(parts), env);
  } catch (error) {
    if (!(error instanceof TollgateError) || error.code !== 'POLICY_INVALID') throw error;
    return error.message.split('\n');
  }
  return [];
}

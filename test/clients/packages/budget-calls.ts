import type { PolicyRun } from '../../support/policy-run.ts';
import { TollgateClient } from '../../../packages/client/client.ts';
import type { ClientOptions, ReserveRequest } from '../../../packages/client/client.ts';

/** A call that reserves 1,000 of the 20,000 tokens that `policies/ai-budgets.yaml` allows a tenant in a minute. */
export function request(tenant: string): ReserveRequest {
  const reserve = { model: 'gpt-4o-mini', usage: { input_tokens: 100, output_tokens: 900 } };
  return { tenant_id: tenant, method: 'POST', path: '/agent/chat', reserve };
}

export function clientOf(
  { installation, serviceToken }: PolicyRun,
  options: Partial<ClientOptions> = {},
): TollgateClient {
  // The long timeout is for a busy machine. Only a test in which checks get no answer has a shorter one.
  return new TollgateClient({
    url: installation.urls.api,
    token: serviceToken,
    onFailure: 'open',
    checkTimeoutMs: 20_000,
    ...options,
  });
}

/** Units of the tenant that are used, by limit. */
export async function used(run: PolicyRun, tenant: string): Promise<Record<string, number>> {
  const { limits } = await clientOf(run).usage({ tenant_id: tenant });
  return Object.fromEntries(
    limits.map(({ name, limit, remaining }) => [name, Number(limit) - Number(remaining)]),
  );
}

/** 150 tokens. */
export const spent = { input_tokens: 100, output_tokens: 50 };

import { uniqueName } from '../../support/servers.ts';
import type { AlertFixture } from './fixture.ts';

/** Calls of a new tenant through each of the gateways. */
export async function asks(
  { run: policyRun, second }: AlertFixture,
  tier: string,
): Promise<Record<'main' | 'second', () => Promise<unknown>>> {
  const token = await policyRun.token({ tenant_id: uniqueName('asking'), tier });
  const authorization = `Bearer ${token}`;
  return {
    main: () => policyRun.call('GET /things', { token }),
    second: async () =>
      (await fetch(`${second.urls.gateway}/things`, { headers: { authorization } })).arrayBuffer(),
  };
}

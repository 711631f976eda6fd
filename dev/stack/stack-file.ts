import { rename, rm, writeFile } from 'node:fs/promises';
import { sampleTenants, signTenantToken } from '../sample/tenants.ts';
import type { Secrets } from './secrets.ts';

/** Keys that `urls` and `pids` always contain. Both may also contain other keys. */
export interface StackFile {
  readonly urls: Readonly<Record<string, string>>;
  readonly admin_token: string;
  readonly service_token: string;
  readonly tenants: readonly StackTenant[];
  readonly pids: Readonly<Record<string, number>>;
}

export interface StackTenant {
  readonly tenant_id: string;
  readonly plan: string;
  /** Token of the tenant's first sample user. `jwts` has the tokens of all its sample users. */
  readonly jwt: string;
  readonly jwts: readonly string[];
  readonly api_key: string;
  /** Whether the sample traffic makes calls for this tenant. */
  readonly busy: boolean;
}

const usersPerTenant = 3;

export function stackTenants(secrets: Secrets): Promise<StackTenant[]> {
  return Promise.all(
    sampleTenants.map(async (tenant) => {
      const users = Array.from(
        { length: usersPerTenant },
        (_, i) => `user-${i + 1}@${tenant.tenantId}.example`,
      );
      const jwts = await Promise.all(users.map((user) => signTenantToken(secrets.jwt, tenant, user)));
      return {
        tenant_id: tenant.tenantId,
        plan: tenant.plan,
        jwt: jwts[0]!,
        jwts,
        api_key: secrets.apiKeys[tenant.tenantId]!,
        busy: tenant.trafficPerSecond > 0,
      };
    }),
  );
}

/**
 * The file contains tokens, so only its owner can read it. It is written under another name and then renamed, so that
 * no reader sees an incomplete file.
 */
export async function writeStackFile(path: string, stack: StackFile): Promise<void> {
  await writeFile(`${path}.draft`, `${JSON.stringify(stack, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.draft`, path);
}

export function removeStackFile(path: string): Promise<void> {
  return rm(path, { force: true });
}

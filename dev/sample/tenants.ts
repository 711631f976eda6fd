import { createHash } from 'node:crypto';
import { SignJWT } from 'jose';
import { apiKeysOf, keyEndMs } from '../../shared/domain/tenant.ts';
import type { TenantRecord } from '../../shared/domain/tenant.ts';
import type { Secrets } from '../stack/secrets.ts';

export interface SampleTenant {
  readonly tenantId: string;
  readonly plan: 'free' | 'pro' | 'enterprise';
  readonly displayName: string;
  /** Calls of the sample traffic per second; 0: the tenant makes no calls. */
  readonly trafficPerSecond: number;
  /** Calls of a weekday at the end of the sample history; fewer on earlier days and at weekends. */
  readonly callsPerDay: number;
  readonly overrides?: Readonly<Record<string, number>>;
}

/**
 * The sample tenants: for each plan one with little and one with much traffic. Sparrow exceeds its minute limit, and
 * Wren uses up its daily quota of 300.
 */
export const sampleTenants: readonly SampleTenant[] = [
  { tenantId: 'acme', plan: 'pro', displayName: 'Acme', trafficPerSecond: 0, callsPerDay: 500 },
  { tenantId: 'initech', plan: 'free', displayName: 'Initech', trafficPerSecond: 0, callsPerDay: 120 },
  { tenantId: 'globex', plan: 'enterprise', displayName: 'Globex', trafficPerSecond: 0, callsPerDay: 500 },
  { tenantId: 'northwind', plan: 'pro', displayName: 'Northwind', trafficPerSecond: 1.2, callsPerDay: 600 },
  {
    tenantId: 'umbrella',
    plan: 'enterprise',
    displayName: 'Umbrella',
    trafficPerSecond: 0.8,
    callsPerDay: 500,
  },
  {
    tenantId: 'sparrow',
    plan: 'free',
    displayName: 'Sparrow',
    trafficPerSecond: 1.6,
    callsPerDay: 300,
    overrides: { day: 50_000 },
  },
  {
    tenantId: 'wren',
    plan: 'free',
    displayName: 'Wren',
    trafficPerSecond: 0.3,
    callsPerDay: 340,
    overrides: { day: 300 },
  },
];

const tokenLifetime = '365d';

/** A token as the tenant's own login service would issue it. */
export function signTenantToken(secret: string, tenant: SampleTenant, user: string): Promise<string> {
  return new SignJWT({ tenant_id: tenant.tenantId, tier: tenant.plan })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime(tokenLifetime)
    .sign(new TextEncoder().encode(secret));
}

/** The tenant's first record. It is published at the first start only, so that later changes by operators stay. */
export function sampleRecord(tenant: SampleTenant, secrets: Secrets, now: Date): TenantRecord {
  return {
    tenant_id: tenant.tenantId,
    plan: tenant.plan,
    display_name: tenant.displayName,
    api_keys_sha256: [keyHash(tenant, secrets)],
    ...(tenant.overrides === undefined ? {} : { overrides: tenant.overrides }),
    updated_at: now.toISOString(),
    updated_by: 'sample data',
  };
}

/**
 * The record with the sample key added if the key does not open it, e.g. because the file of secrets was deleted and
 * created again. Null if the key is valid. Other settings of the record stay.
 */
export function withSampleKey(
  record: TenantRecord,
  tenant: SampleTenant,
  secrets: Secrets,
  now: Date,
): TenantRecord | null {
  const hash = keyHash(tenant, secrets);
  const key = apiKeysOf(record).find(({ sha256 }) => sha256 === hash);
  if (key !== undefined && keyEndMs(key) > now.getTime()) return null;
  const { api_keys: keys = [], api_keys_sha256: hashes = [] } = record;
  return {
    ...record,
    // An entry with an expiry would have precedence over the hash alone.
    api_keys: keys.filter(({ sha256 }) => sha256 !== hash),
    api_keys_sha256: [...hashes.filter((other) => other !== hash), hash],
    updated_at: now.toISOString(),
    updated_by: 'sample data',
  };
}

function keyHash({ tenantId }: SampleTenant, { apiKeys }: Secrets): string {
  return createHash('sha256')
    .update(apiKeys[tenantId] ?? '')
    .digest('hex');
}

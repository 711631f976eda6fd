import { createHash } from 'node:crypto';
import { SignJWT } from 'jose';
import type { TenantRecord } from '../../shared/domain/tenant.ts';
import type { Secrets } from '../stack/secrets.ts';

export interface SampleTenant {
  readonly tenantId: string;
  readonly plan: 'free' | 'pro' | 'enterprise';
  readonly displayName: string;
  /** Calls of the sample traffic per second; 0: the tenant makes no calls. */
  readonly trafficPerSecond: number;
  readonly overrides?: Readonly<Record<string, number>>;
}

/**
 * The sample tenants: for each plan one with little and one with much traffic. Sparrow exceeds its minute limit, and
 * Wren uses up its daily quota.
 */
export const sampleTenants: readonly SampleTenant[] = [
  { tenantId: 'acme', plan: 'pro', displayName: 'Acme', trafficPerSecond: 0 },
  { tenantId: 'initech', plan: 'free', displayName: 'Initech', trafficPerSecond: 0 },
  { tenantId: 'globex', plan: 'enterprise', displayName: 'Globex', trafficPerSecond: 0 },
  { tenantId: 'northwind', plan: 'pro', displayName: 'Northwind', trafficPerSecond: 4 },
  { tenantId: 'umbrella', plan: 'enterprise', displayName: 'Umbrella', trafficPerSecond: 3 },
  {
    tenantId: 'sparrow',
    plan: 'free',
    displayName: 'Sparrow',
    trafficPerSecond: 1.6,
    overrides: { day: 50_000 },
  },
  { tenantId: 'wren', plan: 'free', displayName: 'Wren', trafficPerSecond: 0.3 },
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
  const apiKey = secrets.apiKeys[tenant.tenantId] ?? '';
  return {
    tenant_id: tenant.tenantId,
    plan: tenant.plan,
    display_name: tenant.displayName,
    api_keys_sha256: [createHash('sha256').update(apiKey).digest('hex')],
    ...(tenant.overrides === undefined ? {} : { overrides: tenant.overrides }),
    updated_at: now.toISOString(),
    updated_by: 'sample data',
  };
}

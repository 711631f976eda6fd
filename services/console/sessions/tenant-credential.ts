import { createRemoteJWKSet, jwtVerify } from 'jose';
import type { JWTVerifyOptions } from 'jose';
import type { IdentityPolicy } from '../../../shared/domain/policy.ts';
import type { TenantDirectory } from '../../../shared/kafka/tenant-directory.ts';
import type { Clock } from '../../../shared/runtime/clock.ts';
import { hashOf } from '../tenants/api-keys.ts';

export type Credential =
  | {
      readonly kind: 'tenant';
      readonly tenantId: string;
      readonly via: 'api_key' | 'jwt';
      readonly expiresAtMs: number;
    }
  | { readonly kind: 'refused'; readonly reason: string };

const keySets = new Map<string, ReturnType<typeof createRemoteJWKSet>>();

/**
 * Whose API key or JWT this is, by the same keys and claims the gateways use. A session never outlives its token;
 * a key has no end of its own.
 */
export async function readCredential(
  text: string,
  identity: IdentityPolicy,
  directory: TenantDirectory,
  clock: Clock,
): Promise<Credential> {
  const credential = text.trim().replace(/^Bearer +/i, '');
  if (credential.startsWith('tgk_')) {
    const record = directory.byApiKeyHash(hashOf(credential));
    return record === undefined
      ? refusedFor('This API key is not known. Check that it is complete, or ask for a new one.')
      : { kind: 'tenant', tenantId: record.tenant_id, via: 'api_key', expiresAtMs: Number.MAX_SAFE_INTEGER };
  }
  if (identity.jwt === null || credential.split('.').length !== 3)
    return refusedFor('This is neither an API key (they begin with tgk_) nor a JWT.');
  return readJwt(credential, identity.jwt, clock);
}

async function readJwt(
  token: string,
  { keys, algorithms, issuer, audience, tenantClaims }: NonNullable<IdentityPolicy['jwt']>,
  clock: Clock,
): Promise<Credential> {
  const options: JWTVerifyOptions = {
    algorithms: [...algorithms],
    currentDate: new Date(clock.now()),
    ...(issuer === null ? {} : { issuer }),
    ...(audience === null ? {} : { audience }),
  };
  try {
    const { payload } =
      keys.kind === 'secret'
        ? await jwtVerify(token, keys.secret, options)
        : await jwtVerify(token, keySetOf(keys.url), options);
    const claim = tenantClaims
      .map((name) => payload[name])
      .find((value) => typeof value === 'string' && value !== '');
    if (typeof claim !== 'string') return refusedFor('This JWT is valid, but it names no tenant.');
    const expiresAtMs = payload.exp === undefined ? Number.MAX_SAFE_INTEGER : payload.exp * 1000;
    return { kind: 'tenant', tenantId: claim, via: 'jwt', expiresAtMs };
  } catch {
    return refusedFor('This JWT is not valid or has expired. Get a fresh one.');
  }
}

function refusedFor(reason: string): Credential {
  return { kind: 'refused', reason };
}

/** One set a URL, so that its keys are fetched once; the policy names the URLs, so they are few. */
function keySetOf(url: string): ReturnType<typeof createRemoteJWKSet> {
  let set = keySets.get(url);
  if (set === undefined) keySets.set(url, (set = createRemoteJWKSet(new URL(url))));
  return set;
}

import type { IncomingHttpHeaders } from 'node:http';
import { LRUCache } from 'lru-cache';
import type { Policy } from '../../../shared/domain/policy.ts';
import { createClientAddresses } from '../../../shared/identity/client-address.ts';
import type { ClientAddresses } from '../../../shared/identity/client-address.ts';
import { addressPart } from '../../../shared/redis/keys.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

/**
 * Counts failed sign-ins by client address: behind trusted proxies the address that they name, and of IPv6 the /64, which
 * one host has for itself. Only failures are throttled. The secret is compared first, and the right one always signs in,
 * so that nobody can lock out the users behind an address; what protects a secret is its length.
 */
export interface SignInThrottle {
  /** Notes a failure. Seconds after which a failure is answered as one again; null while it is. */
  failed(request: SignInRequest): number | null;
  /** The client's address, as the policy's trusted proxies let it be known. */
  addressOf(request: SignInRequest): string;
}

export interface SignInRequest {
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/** What a page says then. */
export const tooManyFailures = {
  tone: 'bad',
  text: 'This is not right either. After so many failed attempts wait ten minutes; the right one signs in at any time.',
} as const;

const failuresMax = 20;
const memoryMs = 10 * 60_000;
/** Addresses of which failures are remembered: a few megabytes. The ones that failed longest ago go first. */
const addressesMax = 10_000;

export function createSignInThrottle(policy: () => Policy, clock: Clock): SignInThrottle {
  const failures = new LRUCache<string, readonly number[]>({ max: addressesMax });
  let addresses: { readonly policy: Policy; readonly read: ClientAddresses } | null = null;
  return {
    addressOf,
    failed: (request) => {
      const nowMs = clock.now();
      const key = addressPart(addressOf(request));
      const recent = (failures.get(key) ?? []).filter((atMs) => atMs > nowMs - memoryMs);
      const [oldestMs = nowMs] = recent;
      failures.set(key, [...recent, nowMs].slice(-failuresMax));
      return recent.length < failuresMax ? null : Math.ceil((oldestMs + memoryMs - nowMs) / 1000);
    },
  };

  function addressOf({ headers, socket }: SignInRequest): string {
    return addressesUnder(policy()).addressFor(socket.remoteAddress ?? '', headers['x-forwarded-for']);
  }

  function addressesUnder(now: Policy): ClientAddresses {
    if (addresses?.policy !== now)
      addresses = { policy: now, read: createClientAddresses(now.identity.trustedProxies) };
    return addresses.read;
  }
}

import type { IncomingHttpHeaders } from 'node:http';
import { LRUCache } from 'lru-cache';
import { Counter } from 'prom-client';
import type { Policy } from '../../../shared/domain/policy.ts';
import { createClientAddresses } from '../../../shared/identity/client-address.ts';
import type { ClientAddresses } from '../../../shared/identity/client-address.ts';
import { addressPart } from '../../../shared/redis/keys.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

/**
 * Counts failed sign-ins by client address: the address that trusted proxies name, and of IPv6 the /64, which one host
 * has for itself. Only failures are throttled. The secret is compared first and the right secret always signs in, so that
 * an attacker cannot lock out the users behind an address; the length of a secret protects it from guessing.
 */
export interface SignInThrottle {
  /** Counts a failure. Returns the seconds until failures are answered as usual again; null while they are. */
  failed(request: SignInRequest): number | null;
  /** The client's address under the policy's trusted proxies. */
  addressOf(request: SignInRequest): string;
}

export interface SignInRequest {
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/** Notice on the sign-in page for a throttled failure. */
export const tooManyFailures = {
  tone: 'bad',
  text: 'This is not right either. After so many failed attempts wait ten minutes; the right one signs in at any time.',
} as const;

const failuresMax = 20;
const memoryMs = 10 * 60_000;
/** Addresses with remembered failures: a few megabytes. The address with the oldest failure is forgotten first. */
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

  function addressesUnder(running: Policy): ClientAddresses {
    if (addresses?.policy !== running)
      addresses = { policy: running, read: createClientAddresses(running.identity.trustedProxies) };
    return addresses.read;
  }
}

/** By method (link, credential, api_key, jwt, operator) and result (accepted, refused, throttled). */
export type SignInCounter = Pick<Counter<'method' | 'result'>, 'inc'>;

export function createSignInCounter(registry: Registry): SignInCounter {
  return new Counter({
    name: 'tollgate_console_sign_ins_total',
    help: 'Attempts to sign in to the portal or the operator console, by method and result.',
    labelNames: ['method', 'result'],
    registers: [registry],
  });
}

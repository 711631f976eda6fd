import type { IncomingHttpHeaders } from 'node:http';
import { LRUCache } from 'lru-cache';
import { Counter } from 'prom-client';
import type { Policy } from '../../../shared/domain/policy.ts';
import { createClientAddresses } from '../../../shared/identity/client-address.ts';
import type { ClientAddresses } from '../../../shared/identity/client-address.ts';
import { addressPart } from '../../../shared/redis/keys.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { startAtZero } from '../../../shared/runtime/zero-counters.ts';

/**
 * Counts failed sign-ins by client address. The address is the one that trusted proxies report; of an IPv6 address
 * only the /64 is used, because one host can use all addresses in it. The throttle applies only to wrong secrets: a
 * correct secret always signs in. So an attacker cannot lock out other users of the same address. Secrets are long
 * enough to resist guessing.
 */
export interface SignInThrottle {
  /**
   * Counts a failure. Returns null if the failure is answered as usual, or the number of seconds until failures are
   * no longer throttled.
   */
  failed(request: SignInRequest): number | null;
  /** The client's address according to the policy's trusted proxies. */
  addressOf(request: SignInRequest): string;
}

export interface SignInRequest {
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/** Notice on the sign-in page after a failure that was throttled. */
export const tooManyFailures = {
  tone: 'bad',
  text: 'This is not right either. After so many failed attempts wait ten minutes; the right one signs in at any time.',
} as const;

const failuresMax = 20;
const memoryMs = 10 * 60_000;
/**
 * Maximum number of addresses whose failures are stored (a few megabytes). At the maximum, the least recently used
 * address is removed.
 */
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

/**
 * Number of sign-ins by method (link, credential, api_key, jwt, operator, oidc) and result (accepted, refused, throttled).
 */
export type SignInCounter = Pick<Counter<'method' | 'result'>, 'inc'>;

export function createSignInCounter(registry: Registry): SignInCounter {
  return startAtZero(
    new Counter({
      name: 'tollgate_console_sign_ins_total',
      help: 'Attempts to sign in to the portal or the operator console, by method and result.',
      labelNames: ['method', 'result'],
      registers: [registry],
    }),
    {
      method: ['link', 'credential', 'api_key', 'jwt', 'operator', 'oidc'],
      result: ['accepted', 'refused', 'throttled'],
    },
  );
}

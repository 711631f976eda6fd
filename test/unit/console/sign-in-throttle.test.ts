import { describe, expect, test } from 'vitest';
import { createSignInThrottle } from '../../../services/console/sessions/sign-in-throttle.ts';
import type { SignInRequest, SignInThrottle } from '../../../services/console/sessions/sign-in-throttle.ts';
import { policyOf } from '../policy/text.ts';

const clock = { nowMs: 1_800_000_000_000, now: () => clock.nowMs };
const policy = policyOf({ identity: '{ trusted_proxies: [127.0.0.0/8, 10.0.0.0/8] }' });
const limit = 20;

function requestFrom(remoteAddress: string, forwarded?: string): SignInRequest {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return { headers, socket: { remoteAddress } };
}

function failOften(throttle: SignInThrottle, request: SignInRequest): void {
  for (let count = 0; count < limit; count += 1) expect(throttle.failed(request)).toBeNull();
}

describe('failures of one client address', () => {
  test('are throttled from the 21st on for ten minutes, with the time that remains', () => {
    const throttle = createSignInThrottle(() => policy, clock);
    const request = requestFrom('203.0.113.9');
    failOften(throttle, request);
    expect(throttle.failed(request)).toBe(600);
    clock.nowMs += 10 * 60_000 + 1;
    expect(throttle.failed(request)).toBeNull();
  });

  const others: readonly (readonly [string, [string, string?], [string, string?]])[] = [
    ['another address', ['203.0.113.9'], ['203.0.113.10']],
    ['another client behind the same proxy', ['127.0.0.1', '203.0.113.9'], ['127.0.0.1', '203.0.113.10']],
    ['another /64 of IPv6', ['2001:db8:0:1::1'], ['2001:db8:0:2::1']],
    ['the proxy itself', ['127.0.0.1', '203.0.113.9'], ['127.0.0.1']],
  ];
  test.each(others)('do not count for %s', (_what, attacker, other) => {
    const throttle = createSignInThrottle(() => policy, clock);
    failOften(throttle, requestFrom(...attacker));
    expect(throttle.failed(requestFrom(...other))).toBeNull();
    expect(throttle.failed(requestFrom(...attacker))).toBeGreaterThan(0);
  });

  const same: readonly (readonly [string, [string, string?], [string, string?]])[] = [
    ['other hosts of the same /64', ['2001:db8::1'], ['2001:db8::ffff:1:2:3']],
    ['other proxies in between', ['127.0.0.1', '203.0.113.9'], ['10.0.0.7', '203.0.113.9, 10.0.0.8']],
    ['what the client writes itself', ['127.0.0.1', '203.0.113.9'], ['127.0.0.1', '1.2.3.4, 203.0.113.9']],
    ['a header from a peer that is no proxy', ['203.0.113.9'], ['203.0.113.9', '1.2.3.4']],
    ['IPv4 written as IPv6', ['203.0.113.9'], ['::ffff:203.0.113.9']],
  ];
  test.each(same)('count through %s', (_what, attacker, again) => {
    const throttle = createSignInThrottle(() => policy, clock);
    failOften(throttle, requestFrom(...attacker));
    expect(throttle.failed(requestFrom(...again))).toBeGreaterThan(0);
  });
});

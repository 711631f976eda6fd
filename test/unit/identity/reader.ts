import { pino } from 'pino';
import { Registry } from 'prom-client';
import { onTestFinished } from 'vitest';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { KeyHolder } from '../../../shared/domain/tenant.ts';
import { createCredentials } from '../../../shared/identity/credentials.ts';
import type { Credentials } from '../../../shared/identity/credentials.ts';
import { policyOf } from '../policy/text.ts';

/** A clock that a test sets. */
export interface TestClock {
  nowMs: number;
  now(): number;
}

export function testClock(): TestClock {
  const clock = { nowMs: Date.parse('2026-11-21T12:00:00Z'), now: () => clock.nowMs };
  return clock;
}

export function credentialsOf(
  clock: TestClock,
  {
    policy = (): Policy => policyOf(),
    holders = new Map<string, KeyHolder>(),
    registry = new Registry(),
  } = {},
): Credentials {
  const credentials = createCredentials({
    policy,
    directory: { byApiKeyHash: (sha256) => holders.get(sha256), ready: () => true },
    clock,
    logger: pino({ level: 'silent' }),
    registry,
  });
  onTestFinished(() => credentials.close());
  return credentials;
}

/** A policy with this text as its `jwt` part. */
export function policyWith(jwt: string, parts: Readonly<Record<string, string>> = {}): Policy {
  return policyOf({ identity: `{ jwt: { ${jwt} } }`, ...parts });
}

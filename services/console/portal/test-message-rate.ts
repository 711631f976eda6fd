import { LRUCache } from 'lru-cache';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

export interface TestMessageRate {
  /** Counts a test message of the tenant; false when it has had as many as it may for now. */
  takes(tenantId: string): boolean;
}

const messagesMax = 5;
const windowMs = 10 * 60_000;
const tenantsMax = 10_000;

/**
 * A test message goes to every target of a tenant, which chooses them itself: without a bound one visitor could have the
 * installation's mail server send any number of messages to anybody.
 */
export function createTestMessageRate(clock: Clock): TestMessageRate {
  const sentAtMs = new LRUCache<string, readonly number[]>({ max: tenantsMax });
  return {
    takes(tenantId) {
      const nowMs = clock.now();
      const recent = (sentAtMs.get(tenantId) ?? []).filter((atMs) => atMs > nowMs - windowMs);
      if (recent.length >= messagesMax) return false;
      sentAtMs.set(tenantId, [...recent, nowMs]);
      return true;
    },
  };
}

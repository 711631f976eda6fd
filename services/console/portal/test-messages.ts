import { LRUCache } from 'lru-cache';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { Producer } from '../../../shared/kafka/producer/producer.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

export interface TestMessages {
  /** Requests a test message from the alerter, by the topic that alerts take too. */
  send(event: AlertEvent): Promise<void>;
}

export function createTestMessages(producer: Producer, alertsTopic: string): TestMessages {
  return {
    async send(event) {
      await producer.send(alertsTopic, [{ key: event.tenant_id, value: JSON.stringify(event) }]);
    },
  };
}

export interface TestMessageRate {
  /** Counts a test message of the tenant; false when the tenant has reached the limit. */
  accepts(tenantId: string): boolean;
}

const messagesMax = 5;
const windowMs = 10 * 60_000;
const tenantsMax = 10_000;

/**
 * Limits the test messages of a tenant. A test message goes to every target that the tenant has entered: without a limit
 * one visitor could send any number of e-mails to any address through the installation's mail server.
 */
export function createTestMessageRate(clock: Clock): TestMessageRate {
  const sentAtMs = new LRUCache<string, readonly number[]>({ max: tenantsMax });
  return {
    accepts(tenantId) {
      const nowMs = clock.now();
      const recent = (sentAtMs.get(tenantId) ?? []).filter((atMs) => atMs > nowMs - windowMs);
      if (recent.length >= messagesMax) return false;
      sentAtMs.set(tenantId, [...recent, nowMs]);
      return true;
    },
  };
}

import { LRUCache } from 'lru-cache';
import type { AlertEvent } from '../../domain/topics/alert.ts';
import type { Producer } from '../../kafka/producer/producer.ts';
import type { Clock } from '../../runtime/time/clock.ts';

export interface TestMessages {
  /** Requests the alerter to send a test message. The request is an event on the topic of alerts. */
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
  /** Counts a test message of the tenant. Returns false if the tenant has reached the limit. */
  accepts(tenantId: string): boolean;
  /** Whole seconds after which a test message of the tenant is accepted again. */
  retryAfterSeconds(tenantId: string): number;
}

const messagesMax = 5;
const windowMs = 10 * 60_000;
const tenantsMax = 10_000;

/**
 * Limits how many test messages a tenant can send. A test message goes to every target in the tenant's settings:
 * without the limit, a visitor could send any number of e-mails to any address through the mail server of the
 * installation.
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
    retryAfterSeconds(tenantId) {
      const oldestMs = sentAtMs.get(tenantId)?.at(-messagesMax) ?? -Infinity;
      return Math.max(1, Math.ceil((oldestMs + windowMs - clock.now()) / 1000));
    },
  };
}

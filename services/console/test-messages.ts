import type { AlertEvent } from '../../shared/domain/topics/alert.ts';
import type { Producer } from '../../shared/kafka/producer/producer.ts';

export interface TestMessages {
  /** Asks the alerter to send a test message; it takes the same way as an alert. */
  send(event: AlertEvent): Promise<void>;
}

export function createTestMessages(producer: Producer, alertsTopic: string): TestMessages {
  return {
    async send(event) {
      await producer.send(alertsTopic, [{ key: event.tenant_id, value: JSON.stringify(event) }]);
    },
  };
}

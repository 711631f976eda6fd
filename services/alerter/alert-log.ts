import type { AlertEvent } from '../../shared/domain/topics/alert.ts';
import { followTopic } from '../../shared/kafka/tables/follow-topic.ts';
import type { Kafka } from '../../shared/kafka/kafkajs/kafka.ts';
import type { Producer } from '../../shared/kafka/producer/producer.ts';
import type { Topics } from '../../shared/kafka/topics.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import { readAlert } from '../../shared/domain/topics/alert.ts';
import { createAlertHistory } from './evaluate/history.ts';
import type { AlertHistory } from './evaluate/history.ts';

/** The alerts topic: it holds the alerts sent so far, and all alerts are added through this interface. */
export interface AlertLog {
  /** The alerts of current and recent periods that are on the topic. */
  readonly history: AlertHistory;
  /** True once the topic has been read to its end. */
  ready(): boolean;
  /** Resolves once the history holds all alerts that any alerter wrote before the call. */
  catchUp(): Promise<void>;
  /** Resolves when Kafka has stored the alerts. From then on the alerts count as sent, also after a crash. */
  append(alerts: readonly AlertEvent[]): Promise<void>;
  close(): Promise<void>;
}

export interface AlertLogOptions {
  readonly kafka: Kafka;
  readonly topics: Topics;
  readonly producer: Producer;
  readonly clock: Clock;
  readonly registry: Registry;
}

/** Time for which the alerts of a period are kept after its end. Totals of the period never arrive later than that. */
const keptMs = 2 * 86_400_000;
const forgetIntervalMs = 600_000;

export function createAlertLog({ kafka, topics, producer, clock, registry }: AlertLogOptions): AlertLog {
  const history = createAlertHistory();
  const isOver = (alert: AlertEvent): boolean =>
    Date.parse(alert.period_ends_at ?? alert.at) < clock.now() - keptMs;
  // The order in which the partitions are read does not change the history.
  const followed = followTopic(kafka, {
    topic: topics.alerts,
    name: 'alerts',
    onRecord: ({ value }) => {
      const alert = value === null ? null : readAlert(value);
      if (alert !== null && !isOver(alert)) history.add(alert);
      return value === null || alert !== null;
    },
    registry,
  });
  const timer = setInterval(() => history.forgetBefore(clock.now() - keptMs), forgetIntervalMs);
  return {
    history,
    ready: () => followed.ready(),
    catchUp: () => followed.catchUp(),
    append,
    close: async () => {
      clearInterval(timer);
      await followed.close();
    },
  };

  async function append(alerts: readonly AlertEvent[]): Promise<void> {
    await producer.send(
      topics.alerts,
      alerts.map((alert) => ({ key: alert.tenant_id, value: JSON.stringify(alert) })),
    );
    for (const alert of alerts) history.add(alert);
  }
}

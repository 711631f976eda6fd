import type { AlertEvent } from '../../shared/domain/topics/alert.ts';
import { followTopic } from '../../shared/kafka/tables/follow-topic.ts';
import type { Kafka } from '../../shared/kafka/kafkajs/kafka.ts';
import type { Producer } from '../../shared/kafka/producer/producer.ts';
import type { Topics } from '../../shared/kafka/topics.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import { readAlert } from './alert-record.ts';
import { createAlertHistory } from './history.ts';
import type { AlertHistory } from './history.ts';

/** The alerts topic: what was told, and the one way to tell. */
export interface AlertLog {
  /** Everything on the topic of periods that are not long over. */
  readonly history: AlertHistory;
  /** True once the topic was read to its end. */
  ready(): boolean;
  /** Resolves once the history holds whatever anybody had told before the call. */
  catchUp(): Promise<void>;
  /** Resolves when Kafka has the alerts. From then on they count as told, whatever dies. */
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

/** A period's alerts are remembered this long after its end: longer than any announcement of it is on its way. */
const rememberedMs = 2 * 86_400_000;
const forgetIntervalMs = 600_000;

export function createAlertLog({ kafka, topics, producer, clock, registry }: AlertLogOptions): AlertLog {
  const history = createAlertHistory();
  const isOver = (alert: AlertEvent): boolean =>
    Date.parse(alert.period_ends_at ?? alert.at) < clock.now() - rememberedMs;
  // Every alert counts, in whatever order the partitions are read: the history is the same.
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
  const timer = setInterval(() => history.forgetBefore(clock.now() - rememberedMs), forgetIntervalMs);
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

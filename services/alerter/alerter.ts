import { setTimeout as wait } from 'node:timers/promises';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import type { Policy } from '../../shared/domain/policy.ts';
import { runConsumer } from '../../shared/kafka/consumer/consumer.ts';
import type { Consumer } from '../../shared/kafka/consumer/consumer.ts';
import { createDeadLetterWriter } from '../../shared/kafka/dead-letters/writer.ts';
import type { Kafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../shared/kafka/producer/producer.ts';
import type { TenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import type { Topics } from '../../shared/kafka/topics.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import { traceBatch } from '../../shared/runtime/tracing/tracing.ts';
import type { Tracing } from '../../shared/runtime/tracing/tracing.ts';
import { createAlertLog } from './alert-log.ts';
import { followTenantChanges } from './evaluate/tenant-changes.ts';
import { createDeliveryWorker } from './deliver/delivery-worker.ts';
import type { Delivery } from '../../shared/domain/topics/delivery.ts';
import type { RetryPlan } from './deliver/delivery.ts';
import { createDispatcher } from './deliver/dispatcher.ts';
import type { Mailer } from './deliver/email.ts';
import type { Post } from './deliver/post.ts';
import type { Sender } from './deliver/sender.ts';
import { createDeliveryState } from './deliver/state.ts';
import { logDeliveries } from './deliver/delivery-log.ts';
import { createEvaluator } from './evaluate/evaluator.ts';
import { createHeartbeat } from './heartbeat.ts';

export interface AlerterOptions {
  readonly kafka: Kafka;
  readonly topics: Topics;
  /** Prefix of the consumer groups; the alerters of one installation share it. */
  readonly groupPrefix: string;
  readonly tenants: TenantDirectory;
  readonly clickhouse: ClickHouse;
  readonly policy: () => Policy;
  /**
   * Registers a listener that is called after each reload of the policy. Returns a function that removes the listener.
   */
  readonly onPolicy: (listener: () => void) => () => void;
  readonly post: Post;
  readonly mailer: Mailer;
  /** Whom tenants see as the sender of notifications. */
  readonly sender: Sender;
  readonly retryPlan: RetryPlan;
  readonly sessionTimeoutMs?: number;
  /** Interval of the heartbeats. */
  readonly heartbeatMs?: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly registry: Registry;
  readonly logger: Logger;
  /** Called when a consumer has stopped making progress: the process has to exit. */
  readonly onStalled: (error: unknown) => void;
  /** Absent: no traces. */
  readonly tracing?: Tracing | null;
}

export interface Alerter {
  /** Names of the dependencies for which this alerter waits before it can send alerts, for `/readyz`. */
  unready(): string[];
  close(): Promise<void>;
}

const recoveredIntervalMs = 5_000;
const adoptRetryMs = 500;
const heartbeatMsDefault = 60_000;

/**
 * totals → evaluate → alerts topic → dispatch → deliveries topic → delivery worker → target, and deliveries topic →
 * ClickHouse. The result of each step is in Kafka before the offsets of its input are committed, so after a crash a
 * step is repeated and none is skipped. A repeated step changes nothing, because alerts and deliveries have stable ids.
 * The exception is an attempt whose outcome was not stored yet: its message is sent twice.
 */
export function runAlerter(options: AlerterOptions): Alerter {
  const { kafka, topics, tenants, clickhouse, clock, registry, logger } = options;
  const closing = new AbortController();
  const producer = createProducer(kafka, { registry });
  const log = createAlertLog({ kafka, topics, producer, clock, registry });
  const state = createDeliveryState({ kafka, topics, producer, registry });
  const heartbeat = createHeartbeat({ producer, topics, clock, registry });
  const evaluator = createEvaluator({ ...options, log, heartbeat });
  const deliveryWorker = createDeliveryWorker({ ...options, state, onDead: writeDeadLetter });
  const deadLetters = createDeadLetterWriter({ producer, topics, clock, registry, logger });
  const dispatcher = createDispatcher({ state, tenants, deliveryWorker, heartbeat, clock });

  /**
   * Number of the current assignment of partitions. The history is up to date when `historyReadIn` has the same number.
   */
  let assignment = 0;
  let historyReadIn = -1;
  /**
   * True for the alerter with the first partition of the totals topic: only this alerter sends recoveries and
   * heartbeats, and evaluates changed tenants.
   */
  let leads = false;
  let adoption: Promise<unknown> = Promise.resolve();
  let generation = 0;
  const changes = followTenantChanges({ ...options, notifiedTenants, reevaluate });
  const consumers = [evaluate(), deliver(), copyToClickHouse()];
  const timers = [
    setInterval(() => void sendRecoveries(), recoveredIntervalMs),
    setInterval(() => void sendHeartbeat(), options.heartbeatMs ?? heartbeatMsDefault),
  ];
  return { unready, close };

  function evaluate(): Consumer {
    return consume('evaluate', topics.totals, {
      onAssignment: (partitions) => {
        assignment += 1;
        leads = partitions?.get(topics.totals)?.includes(0) ?? false;
        if (leads) changes.restart();
        // The first heartbeat is sent at once: otherwise every start would look like a broken pipeline for one
        // interval.
        void sendHeartbeat();
      },
      onBatch: async ({ messages }) => {
        await tenants.catchUp();
        await readHistory();
        const batch = { operation: 'process', topic: topics.totals, records: messages } as const;
        return traceBatch(options.tracing ?? null, batch, () => evaluator.evaluate(messages));
      },
    });
  }

  function deliver(): Consumer {
    return consume('deliver', topics.alerts, {
      onAssignment: (partitions) => {
        generation += 1;
        const assigned = new Set(partitions?.get(topics.alerts));
        deliveryWorker.keepOnly(assigned);
        adoption = assigned.size === 0 ? Promise.resolve() : adopt(assigned, generation);
      },
      onBatch: async ({ messages }) => {
        await adoption;
        // The tenant's record must be at least as new as the alert; otherwise a new target would get no delivery.
        await tenants.catchUp();
        return dispatcher.dispatch(messages);
      },
    });
  }

  function copyToClickHouse(): Consumer {
    return consume('log', topics.deliveries, {
      onBatch: ({ messages }) => logDeliveries(clickhouse, messages),
    });
  }

  async function notifiedTenants(): Promise<readonly string[]> {
    await log.catchUp();
    return log.history.tenants();
  }

  /** Evaluates with the newest records and alerts. Returns false if another alerter has the first partition. */
  async function reevaluate(tenantIds: ReadonlySet<string>): Promise<boolean> {
    if (!leads) return false;
    await tenants.catchUp();
    await log.catchUp();
    await evaluator.reevaluate(tenantIds);
    return true;
  }

  /**
   * Reads the alerts topic once after each assignment: the previous owner of these partitions may have written alerts a
   * moment ago.
   */
  async function readHistory(): Promise<void> {
    const readIn = assignment;
    if (historyReadIn === readIn) return;
    await log.catchUp();
    historyReadIn = readIn;
  }

  /** Continues the pending deliveries of the previous owner. Retries until it succeeds or the partitions move again. */
  async function adopt(assigned: ReadonlySet<number>, adoptedIn: number): Promise<void> {
    while (generation === adoptedIn && !closing.signal.aborted) {
      try {
        await tenants.catchUp();
        await state.catchUp();
        if (generation !== adoptedIn) return;
        deliveryWorker.add([...state.pending()].filter(({ partition }) => assigned.has(partition)));
        return;
      } catch (error) {
        logger.debug({ err: error }, 'pending deliveries are not taken over yet');
        await wait(adoptRetryMs, undefined, { signal: closing.signal }).catch(() => undefined);
      }
    }
  }

  async function sendRecoveries(): Promise<void> {
    if (!leads || historyReadIn !== assignment) return;
    await evaluator.sendRecoveries().catch((error: unknown) => {
      logger.warn({ err: error }, 'recoveries are not sent yet');
    });
  }

  async function sendHeartbeat(): Promise<void> {
    if (!leads) return;
    await heartbeat.send().catch((error: unknown) => logger.warn({ err: error }, 'no heartbeat was sent'));
  }

  async function writeDeadLetter({ alert, target, channel, error, partition }: Delivery): Promise<void> {
    await deadLetters.write([
      {
        reason: `alert was not delivered by ${channel} to ${target}: ${error}`,
        topic: topics.alerts,
        partition,
        offset: null,
        key: alert.tenant_id,
        value: Buffer.from(JSON.stringify(alert)),
      },
    ]);
  }

  function consume(
    name: string,
    topic: string,
    handlers: Pick<Parameters<typeof runConsumer>[1], 'onBatch' | 'onAssignment'>,
  ): Consumer {
    const { sessionTimeoutMs, onStalled, groupPrefix } = options;
    return runConsumer(kafka, {
      topic,
      groupId: `${groupPrefix}${name}`,
      groupLabel: `alerter-${name}`,
      ...handlers,
      deadLetters,
      batchRecordsMax: 1_000,
      ...(sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs }),
      registry,
      onStalled,
    });
  }

  function unready(): string[] {
    return [
      ...(tenants.ready() ? [] : ['tenant records']),
      ...(log.ready() ? [] : ['sent alerts']),
      ...(state.ready() ? [] : ['deliveries']),
      ...(consumers.every((consumer) => consumer.joined()) ? [] : ['kafka']),
    ];
  }

  async function close(): Promise<void> {
    closing.abort();
    timers.forEach((timer) => clearInterval(timer));
    await changes.close();
    await Promise.all(consumers.map((consumer) => consumer.close()));
    await deliveryWorker.close();
    await Promise.all([log.close(), state.close()]);
    await producer.close();
  }
}

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
import { createAlertLog } from './alert-log.ts';
import { followChanges } from './changes.ts';
import { createCourier } from './deliver/delivery-worker.ts';
import type { Delivery, RetryPlan } from './deliver/delivery.ts';
import { createDispatcher } from './deliver/dispatcher.ts';
import type { Mailer } from './deliver/email.ts';
import type { Post } from './deliver/post.ts';
import { createDeliveryState } from './deliver/state.ts';
import { logDeliveries } from './delivery-log.ts';
import { createEvaluator } from './evaluator.ts';
import { createHeartbeat } from './heartbeat.ts';
import { createRejector } from './refusing-limits.ts';

export interface AlerterOptions {
  readonly kafka: Kafka;
  readonly topics: Topics;
  /** Begins the names of the consumer groups: alerters of one installation share it. */
  readonly groupPrefix: string;
  readonly tenants: TenantDirectory;
  readonly clickhouse: ClickHouse;
  readonly policy: () => Policy;
  /** Called after each reload; answers how to stop. */
  readonly onPolicy: (listener: () => void) => () => void;
  readonly post: Post;
  readonly mailer: Mailer;
  readonly retryPlan: RetryPlan;
  readonly sessionTimeoutMs?: number;
  /** Pause between two heartbeats. */
  readonly heartbeatMs?: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly registry: Registry;
  readonly logger: Logger;
  /** The process has to exit: consuming has come to a halt. */
  readonly onStalled: (error: unknown) => void;
}

export interface Alerter {
  /** What keeps alerts from being told, for `/readyz`. */
  unready(): string[];
  close(): Promise<void>;
}

const recoveredIntervalMs = 5_000;
const adoptRetryMs = 500;
const heartbeatMsDefault = 60_000;

/**
 * totals → evaluate → alerts topic → dispatch → deliveries topic → courier → target, and deliveries topic → ClickHouse.
 * Each arrow ends in Kafka before the step behind it is committed, so a crash repeats a step and loses none; ids make
 * the repetition invisible, but for an attempt whose outcome had not been stored.
 */
export function runAlerter(options: AlerterOptions): Alerter {
  const { kafka, topics, tenants, clickhouse, clock, registry, logger } = options;
  const closing = new AbortController();
  const producer = createProducer(kafka, { registry });
  const log = createAlertLog({ kafka, topics, producer, clock, registry });
  const state = createDeliveryState({ kafka, topics, producer, registry });
  const heartbeat = createHeartbeat({ producer, topics, clock, registry });
  const evaluator = createEvaluator({ ...options, log, heartbeat, rejector: createRejector(clickhouse) });
  const courier = createCourier({ ...options, state, onDead: burn });
  const deadLetters = createDeadLetterWriter({ producer, topics, clock, registry, logger });
  const dispatcher = createDispatcher({ state, tenants, courier, heartbeat, clock });

  /** Counts assignments; the history is current when it was read in the one there is. */
  let assignment = 0;
  let historyReadIn = -1;
  /** Of several alerters the one with the first partition does what one is enough for. */
  let leads = false;
  let adoption: Promise<unknown> = Promise.resolve();
  let generation = 0;
  const changes = followChanges({ ...options, told, revisit });
  const consumers = [judge(), deliver(), copyToClickHouse()];
  const timers = [
    setInterval(() => void tellRecovered(), recoveredIntervalMs),
    setInterval(() => void beat(), options.heartbeatMs ?? heartbeatMsDefault),
  ];
  return { unready, close };

  function judge(): Consumer {
    return consume('evaluate', topics.totals, {
      onAssignment: (partitions) => {
        assignment += 1;
        leads = partitions?.get(topics.totals)?.includes(0) ?? false;
        if (leads) changes.restart();
        // At once: after a start, waiting a whole interval for the first beat would look like a broken path.
        void beat();
      },
      onBatch: async ({ messages }) => {
        await tenants.catchUp();
        await readHistory();
        return evaluator.evaluate(messages);
      },
    });
  }

  function deliver(): Consumer {
    return consume('deliver', topics.alerts, {
      onAssignment: (partitions) => {
        generation += 1;
        const mine = new Set(partitions?.get(topics.alerts));
        courier.keepOnly(mine);
        adoption = mine.size === 0 ? Promise.resolve() : adopt(mine, generation);
      },
      onBatch: async ({ messages }) => {
        await adoption;
        // A target that was there when the alert was raised must not be missed because its record is on its way.
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

  async function told(): Promise<readonly string[]> {
    await log.catchUp();
    return log.history.tenants();
  }

  /** False where another alerter leads. What others told and who was changed is read first. */
  async function revisit(tenantIds: ReadonlySet<string>): Promise<boolean> {
    if (!leads) return false;
    await tenants.catchUp();
    await log.catchUp();
    await evaluator.revisit(tenantIds);
    return true;
  }

  /** After an assignment another member may have told of these tenants a moment ago. */
  async function readHistory(): Promise<void> {
    const readIn = assignment;
    if (historyReadIn === readIn) return;
    await log.catchUp();
    historyReadIn = readIn;
  }

  /** Takes on what whoever held these partitions before had not finished; tries until it can, or they move again. */
  async function adopt(mine: ReadonlySet<number>, mineIs: number): Promise<void> {
    while (generation === mineIs && !closing.signal.aborted) {
      try {
        await tenants.catchUp();
        await state.catchUp();
        if (generation !== mineIs) return;
        courier.take([...state.pending()].filter(({ partition }) => mine.has(partition)));
        return;
      } catch (error) {
        logger.debug({ err: error }, 'deliveries are not adopted yet');
        await wait(adoptRetryMs, undefined, { signal: closing.signal }).catch(() => undefined);
      }
    }
  }

  async function tellRecovered(): Promise<void> {
    if (!leads || historyReadIn !== assignment) return;
    await evaluator.tellRecovered().catch((error: unknown) => {
      logger.warn({ err: error }, 'recoveries are not told yet');
    });
  }

  async function beat(): Promise<void> {
    if (!leads) return;
    await heartbeat.beat().catch((error: unknown) => logger.warn({ err: error }, 'no heartbeat was sent'));
  }

  async function burn({ alert, target, channel, error, partition }: Delivery): Promise<void> {
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
      ...(log.ready() ? [] : ['alerts told']),
      ...(state.ready() ? [] : ['deliveries']),
      ...(consumers.every((consumer) => consumer.joined()) ? [] : ['kafka']),
    ];
  }

  async function close(): Promise<void> {
    closing.abort();
    timers.forEach((timer) => clearInterval(timer));
    await changes.close();
    await Promise.all(consumers.map((consumer) => consumer.close()));
    await courier.close();
    await Promise.all([log.close(), state.close()]);
    await producer.close();
  }
}

import { Counter, Gauge, Histogram } from 'prom-client';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import { deliveryKeyOf } from '../../../shared/domain/topics/delivery.ts';
import { afterAttempt } from './delivery.ts';
import type { Delivery } from '../../../shared/domain/topics/delivery.ts';
import type { AttemptOutcome, RetryPlan } from './delivery.ts';
import type { Mailer } from './email.ts';
import type { Post } from './post.ts';
import { createDeliveryQueue } from './queue.ts';
import type { Sender } from './sender.ts';
import { postSlack } from './slack.ts';
import type { DeliveryState } from './state.ts';
import { targetsOf } from './targets.ts';
import type { Target } from '../../../shared/tenants/notification-targets.ts';
import { postWebhook } from './webhook.ts';
import { wordingOf } from './wording.ts';
import { startAtZero } from '../../../shared/runtime/zero-counters.ts';

/** Sends each delivery until it is finished, with one attempt at a time for each target. */
export interface DeliveryWorker {
  /** Adds deliveries whose state on the topic is pending. */
  add(deliveries: Iterable<Delivery>): void;
  /** Drops the deliveries of all other partitions: other members send these deliveries. */
  keepOnly(partitions: ReadonlySet<number>): void;
  close(): Promise<void>;
}

export interface DeliveryWorkerOptions {
  readonly state: DeliveryState;
  readonly tenants: TenantDirectory;
  readonly post: Post;
  readonly mailer: Mailer;
  readonly sender: Sender;
  readonly retryPlan: RetryPlan;
  /** Called for each delivery that will not be retried any more. */
  readonly onDead: (delivery: Delivery) => Promise<void>;
  readonly clock: Clock;
  /** Returns a number in [0, 1), for the jitter of retries. */
  readonly random: () => number;
  readonly registry: Registry;
  readonly logger: Logger;
}

const storeRetryMs = 1_000;

/**
 * After each attempt its outcome is written to Kafka. A crash between the attempt and the write repeats the attempt
 * with the same id: this is the only case in which a target receives an alert twice.
 */
export function createDeliveryWorker(options: DeliveryWorkerOptions): DeliveryWorker {
  const { state, tenants, post, mailer, sender, retryPlan, clock, random, logger } = options;
  const closing = new AbortController();
  const queue = createDeliveryQueue({ attempt, clock });
  const metrics = deliveryMetrics(options.registry, () => queue.size());
  return {
    add: (deliveries) => {
      for (const delivery of deliveries) queue.add(delivery);
    },
    keepOnly: (partitions) => queue.retain(({ partition }) => partitions.has(partition)),
    close: async () => {
      closing.abort();
      await queue.close();
    },
  };

  async function attempt(delivery: Delivery): Promise<Delivery> {
    const { alert, channel } = delivery;
    const settings = tenants.get(alert.tenant_id)?.notifications;
    const target = targetsOf(settings, alert).find(({ id }) => id === delivery.target_id);
    if (target === undefined)
      return await storeOutcome(dropped(delivery, 'the target was removed from the record'));
    if (isDisabled(delivery)) return await storeOutcome(dropped(delivery, 'the target answered 410 before'));
    const stopTimer = metrics.seconds.startTimer({ channel });
    const outcome = await send(target, delivery);
    stopTimer();
    const after = afterAttempt(delivery, outcome, { nowMs: clock.now(), random: random(), plan: retryPlan });
    metrics.attempts.inc({ channel, outcome: outcome.kind });
    if (after.status === 'delivered') {
      metrics.age.observe({ channel }, Math.max(0, clock.now() - Date.parse(alert.at)) / 1000);
    }
    return await storeOutcome(after);
  }

  async function send(target: Target, { alert }: Delivery): Promise<AttemptOutcome> {
    try {
      switch (target.channel) {
        case 'webhook':
          return await postWebhook({ post, clock, sender }, target, alert);
        case 'slack':
          return await postSlack(post, sender, target, alert);
        case 'email':
          return await mailer.send(target, alert);
        case 'log':
          logger.warn({ alert }, wordingOf(alert).title);
          return { kind: 'delivered' };
      }
    } catch (error) {
      return { kind: 'failed', error: messageOf(error) };
    }
  }

  /**
   * True for a target that responded with 410: it gets no alerts until its tenant's record is written again. Test
   * alerts are sent in any case.
   */
  function isDisabled({ alert, target_id }: Delivery): boolean {
    const goneAtMs = state.goneAtMs(alert.tenant_id, target_id);
    const updatedAtMs = Date.parse(tenants.get(alert.tenant_id)?.updated_at ?? '');
    return alert.kind !== 'test' && goneAtMs !== null && !(updatedAtMs > goneAtMs);
  }

  function dropped(delivery: Delivery, error: string): Delivery {
    return { ...delivery, status: 'dropped', updated_ms: clock.now(), error };
  }

  /**
   * Stores the outcome of an attempt, and retries until Kafka has it. Without the outcome, the next owner of the
   * partition would send the alert again.
   */
  async function storeOutcome(delivery: Delivery): Promise<Delivery> {
    for (;;) {
      try {
        if (delivery.status === 'dead') await options.onDead(delivery);
        await state.store([delivery]);
        if (delivery.status !== 'pending')
          metrics.finished.inc({ channel: delivery.channel, status: delivery.status });
        return delivery;
      } catch (error) {
        logger.error(
          { err: error, delivery: deliveryKeyOf(delivery) },
          'the outcome of a delivery is not stored yet',
        );
        if (closing.signal.aborted) return delivery;
        await new Promise((resolve) => setTimeout(resolve, storeRetryMs));
      }
    }
  }
}

const channels = ['webhook', 'slack', 'email', 'log'];

export function deliveryMetrics(registry: Registry, size: () => { waiting: number; active: number }) {
  new Gauge({
    name: 'tollgate_deliveries_pending',
    help: 'Unfinished deliveries of this alerter, by state: waiting, or active (an attempt is running).',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      const { waiting, active } = size();
      this.set({ state: 'waiting' }, waiting);
      this.set({ state: 'active' }, active);
    },
  });
  const finished = startAtZero(
    new Counter({
      name: 'tollgate_deliveries_total',
      help: 'Deliveries that are finished, by channel and status: delivered, dead (given up) or dropped (target removed or disabled).',
      labelNames: ['channel', 'status'],
      registers: [registry],
    }),
    { channel: channels, status: ['delivered', 'dead', 'dropped'] },
  );
  return {
    attempts: startAtZero(
      new Counter({
        name: 'tollgate_delivery_attempts_total',
        help: 'Attempts to deliver an alert, by channel and outcome.',
        labelNames: ['channel', 'outcome'],
        registers: [registry],
      }),
      { channel: channels, outcome: ['delivered', 'failed', 'gone', 'refused'] },
    ),
    finished,
    seconds: new Histogram({
      name: 'tollgate_delivery_attempt_seconds',
      help: 'Seconds that one attempt to deliver an alert took, by channel.',
      labelNames: ['channel'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers: [registry],
    }),
    age: new Histogram({
      name: 'tollgate_delivery_age_seconds',
      help: 'Seconds from an alert being raised to its delivery, by channel.',
      labelNames: ['channel'],
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30, 300, 3600, 86400],
      registers: [registry],
    }),
  };
}

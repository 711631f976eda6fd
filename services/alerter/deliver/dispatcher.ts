import type { AlertEvent } from '../../../shared/domain/alert.ts';
import { deadLetterRecord } from '../../../shared/kafka/dead-letter.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import type { ProducerRecord } from '../../../shared/kafka/producer.ts';
import type { TenantDirectory } from '../../../shared/kafka/tenant-directory.ts';
import type { Clock } from '../../../shared/runtime/clock.ts';
import { readAlert } from '../alert-record.ts';
import type { Heartbeat } from '../heartbeat.ts';
import type { Courier } from './courier.ts';
import { deliveryKeyOf } from './delivery.ts';
import type { Delivery } from './delivery.ts';
import type { DeliveryState } from './state.ts';
import { targetsOf } from './targets.ts';

/** Turns alerts into deliveries, one for each target. */
export interface Dispatcher {
  /** Resolves when each delivery is stored, which is when the alerts may be committed. Safe to repeat. */
  dispatch(messages: readonly ConsumedMessage[]): Promise<void>;
}

export interface DispatcherOptions {
  readonly state: Pick<DeliveryState, 'get' | 'store'>;
  readonly tenants: Pick<TenantDirectory, 'get'>;
  readonly courier: Pick<Courier, 'take'>;
  readonly heartbeat: Pick<Heartbeat, 'arrived'>;
  /** Puts records on the dead-letter topic. */
  readonly bury: (records: readonly ProducerRecord[]) => Promise<void>;
  readonly clock: Clock;
}

/** An alert that stands on the topic twice has one id, and of one id a target gets one delivery. */
export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { state, tenants, courier, heartbeat, bury, clock } = options;
  return { dispatch };

  async function dispatch(messages: readonly ConsumedMessage[]): Promise<void> {
    const deliveries = new Map<string, Delivery>();
    const unreadable: ProducerRecord[] = [];
    for (const message of messages) {
      if (message.value === null) continue;
      const alert = readAlert(message.value);
      if (alert === null) unreadable.push(deadLetter(message, message.value));
      else if (!heartbeat.arrived(alert))
        for (const delivery of deliveriesOf(alert, message.partition))
          deliveries.set(deliveryKeyOf(delivery), delivery);
    }
    const fresh = [...deliveries]
      .filter(([key]) => state.get(key) === undefined)
      .map(([, delivery]) => delivery);
    await bury(unreadable);
    await state.store(fresh);
    // All that is on its way, not only what is new: whoever began the rest may be gone, and its last words may have
    // come after this member looked for what to take on.
    courier.take([...deliveries.keys()].flatMap((key) => state.get(key) ?? []));
  }

  function deliveriesOf(alert: AlertEvent, partition: number): Delivery[] {
    const nowMs = clock.now();
    return targetsOf(tenants.get(alert.tenant_id)?.notifications, alert).map(({ id, channel, shown }) => ({
      alert,
      channel,
      target_id: id,
      target: shown,
      partition,
      status: 'pending',
      attempts: 0,
      next_attempt_ms: nowMs,
      created_ms: nowMs,
      updated_ms: nowMs,
      error: '',
    }));
  }

  function deadLetter({ topic, partition, offset, key }: ConsumedMessage, value: Buffer): ProducerRecord {
    return deadLetterRecord({
      reason: 'is no alert',
      topic,
      partition,
      offset,
      key,
      value,
      atMs: clock.now(),
    });
  }
}

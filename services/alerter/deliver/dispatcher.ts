import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { RejectedMessage } from '../../../shared/kafka/consumer/handling.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { readAlert } from '../../../shared/domain/topics/alert.ts';
import type { Heartbeat } from '../heartbeat.ts';
import type { DeliveryWorker } from './delivery-worker.ts';
import { deliveryKeyOf } from '../../../shared/domain/topics/delivery.ts';
import type { Delivery } from '../../../shared/domain/topics/delivery.ts';
import type { DeliveryState } from './state.ts';
import { targetsOf } from './targets.ts';

/** Creates a delivery for each target of an alert. */
export interface Dispatcher {
  /**
   * Resolves once all deliveries are stored, so that the offsets may be committed. Returns the unreadable messages.
   * Safe to repeat.
   */
  dispatch(messages: readonly ConsumedMessage[]): Promise<readonly RejectedMessage[]>;
}

export interface DispatcherOptions {
  readonly state: Pick<DeliveryState, 'get' | 'store'>;
  readonly tenants: Pick<TenantDirectory, 'get'>;
  readonly deliveryWorker: Pick<DeliveryWorker, 'add'>;
  readonly heartbeat: Pick<Heartbeat, 'arrived'>;
  readonly clock: Clock;
}

/** A repeated alert has the same id, and each target gets one delivery for each alert id. */
export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { state, tenants, deliveryWorker, heartbeat, clock } = options;
  return { dispatch };

  async function dispatch(messages: readonly ConsumedMessage[]): Promise<readonly RejectedMessage[]> {
    const deliveries = new Map<string, Delivery>();
    const rejected: RejectedMessage[] = [];
    for (const message of messages) {
      if (message.value === null) continue;
      const alert = readAlert(message.value);
      if (alert === null) rejected.push({ message, reason: 'is not a valid alert' });
      else if (!heartbeat.arrived(alert))
        for (const delivery of deliveriesOf(alert, message.partition))
          deliveries.set(deliveryKeyOf(delivery), delivery);
    }
    const fresh = [...deliveries]
      .filter(([key]) => state.get(key) === undefined)
      .map(([, delivery]) => delivery);
    await state.store(fresh);
    // Adds all pending deliveries of these alerts, not only the new deliveries: the previous owner of the partition may
    // have stored deliveries after this member read the deliveries topic.
    deliveryWorker.add([...deliveries.keys()].flatMap((key) => state.get(key) ?? []));
    return rejected;
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
}

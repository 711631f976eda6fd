import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { RejectedMessage } from '../../../shared/kafka/consumer/handling.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { readAlert } from '../alert-record.ts';
import type { Heartbeat } from '../heartbeat.ts';
import type { Courier } from './delivery-worker.ts';
import { deliveryKeyOf } from './delivery.ts';
import type { Delivery } from './delivery.ts';
import type { DeliveryState } from './state.ts';
import { targetsOf } from './targets.ts';

/** Turns alerts into deliveries, one for each target. */
export interface Dispatcher {
  /** Resolves when each delivery is stored, with what is no alert. The rest may then be committed. Safe to repeat. */
  dispatch(messages: readonly ConsumedMessage[]): Promise<readonly RejectedMessage[]>;
}

export interface DispatcherOptions {
  readonly state: Pick<DeliveryState, 'get' | 'store'>;
  readonly tenants: Pick<TenantDirectory, 'get'>;
  readonly courier: Pick<Courier, 'take'>;
  readonly heartbeat: Pick<Heartbeat, 'arrived'>;
  readonly clock: Clock;
}

/** An alert that stands on the topic twice has one id, and of one id a target gets one delivery. */
export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { state, tenants, courier, heartbeat, clock } = options;
  return { dispatch };

  async function dispatch(messages: readonly ConsumedMessage[]): Promise<readonly RejectedMessage[]> {
    const deliveries = new Map<string, Delivery>();
    const rejected: RejectedMessage[] = [];
    for (const message of messages) {
      if (message.value === null) continue;
      const alert = readAlert(message.value);
      if (alert === null) rejected.push({ message, reason: 'is no alert' });
      else if (!heartbeat.arrived(alert))
        for (const delivery of deliveriesOf(alert, message.partition))
          deliveries.set(deliveryKeyOf(delivery), delivery);
    }
    const fresh = [...deliveries]
      .filter(([key]) => state.get(key) === undefined)
      .map(([, delivery]) => delivery);
    await state.store(fresh);
    // All that is on its way, not only what is new: whoever began the rest may be gone, and its last words may have
    // come after this member looked for what to take on.
    courier.take([...deliveries.keys()].flatMap((key) => state.get(key) ?? []));
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

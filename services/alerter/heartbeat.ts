import { Gauge } from 'prom-client';
import { v7 } from 'uuid';
import type { AlertEvent } from '../../shared/domain/topics/alert.ts';
import { heartbeatTenant } from '../../shared/domain/identity.ts';
import type { TenantTotals } from '../../shared/domain/topics/totals.ts';
import type { UsageCloudEvent } from '../../shared/domain/usage-event.ts';
import type { Producer } from '../../shared/kafka/producer/producer.ts';
import type { Topics } from '../../shared/kafka/topics.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';

/**
 * Sends an event through all steps of the pipeline: usage topic → aggregator → ClickHouse → totals topic → evaluate →
 * alerts topic → dispatch, where it ends without a notification.
 */
export interface Heartbeat {
  /** Sends one heartbeat event. */
  send(): Promise<void>;
  /** Returns the alert for announced totals of the heartbeat's tenant; null for the totals of other tenants. */
  alertFor(totals: TenantTotals): AlertEvent | null;
  /** True for an alert of the heartbeat. Its time is stored in the metric, and the alert is sent to no target. */
  arrived(alert: AlertEvent): boolean;
}

export function createHeartbeat(options: {
  readonly producer: Producer;
  readonly topics: Topics;
  readonly clock: Clock;
  readonly registry: Registry;
}): Heartbeat {
  const { producer, topics, clock, registry } = options;
  let newestMs = 0;
  const lastSuccess = new Gauge({
    name: 'tollgate_heartbeat_last_success_timestamp_seconds',
    help: 'Unix time at which the totals of the newest heartbeat that reached the alerts topic were announced; 0 before the first.',
    registers: [registry],
  });
  return { send, alertFor, arrived };

  async function send(): Promise<void> {
    const event: UsageCloudEvent = {
      specversion: '1.0',
      id: v7(),
      source: 'tollgate/alerter',
      type: 'tollgate.heartbeat.v1',
      time: new Date(clock.now()).toISOString(),
      subject: heartbeatTenant,
      datacontenttype: 'application/json',
      data: {},
    };
    await producer.send(topics.usage, [{ key: heartbeatTenant, value: JSON.stringify(event) }]);
  }

  function alertFor({ tenant_id, plan, day, announced_at }: TenantTotals): AlertEvent | null {
    if (tenant_id !== heartbeatTenant) return null;
    return {
      id: `${heartbeatTenant}-${announced_at}`,
      kind: 'test',
      tenant_id,
      plan,
      limit_name: '',
      threshold: 0,
      period: announced_at,
      limit: 0,
      used: day.requests,
      exhausted_at: null,
      as_of: announced_at,
      at: announced_at,
    };
  }

  function arrived({ tenant_id, at }: AlertEvent): boolean {
    if (tenant_id !== heartbeatTenant) return false;
    // After an outage, old heartbeats arrive late: only the newest one is relevant.
    newestMs = Math.max(newestMs, Date.parse(at));
    lastSuccess.set(newestMs / 1000);
    return true;
  }
}

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

/** usage topic → aggregator → ClickHouse → totals topic → evaluate → alerts topic → dispatch: here it ends, untold. */
export interface Heartbeat {
  /** Sends the event. */
  beat(): Promise<void>;
  /** The alert that an announcement of the heartbeat's totals calls for; null for everybody else's. */
  alertFor(totals: TenantTotals): AlertEvent | null;
  /** True for the heartbeat's own alerts, which are noted and go nowhere. */
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
    help: 'When the totals behind the newest heartbeat that made it from the usage topic to the alerts topic were announced, as a Unix time; zero before the first.',
    registers: [registry],
  });
  return { beat, alertFor, arrived };

  async function beat(): Promise<void> {
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
    // A backlog brings old beats: they say nothing about now.
    newestMs = Math.max(newestMs, Date.parse(at));
    lastSuccess.set(newestMs / 1000);
    return true;
  }
}

import { randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import { amendEventType } from '../../../shared/domain/events/correction.ts';
import type { CorrectionData } from '../../../shared/domain/events/correction.ts';
import { requestEventType } from '../../../shared/domain/usage-event.ts';
import type { RequestData, UsageCloudEvent } from '../../../shared/domain/usage-event.ts';

/** The event of a request, as a gateway writes it. */
export function requestEvent(
  tenant: string,
  change: { readonly timeMs?: number; readonly id?: string; readonly data?: Partial<RequestData> } = {},
): UsageCloudEvent<RequestData> {
  const timeMs = change.timeMs ?? Date.now();
  return {
    specversion: '1.0',
    id: change.id ?? v7({ msecs: timeMs }),
    source: 'tollgate/node-1',
    type: requestEventType,
    time: new Date(timeMs).toISOString(),
    subject: tenant,
    datacontenttype: 'application/json',
    data: {
      user_id: 'user-1',
      plan: 'pro',
      method: 'POST',
      route: 'POST /agent/chat',
      path: '/agent/chat',
      status: 200,
      decision: 'allowed',
      limited_by: [],
      units: 1,
      cost: 0.5,
      latency_ms: 12.5,
      check_us: 180,
      node: 'node-1',
      sequence: 1,
      degraded: false,
      client_ip: '192.0.2.1',
      service: '',
      entrypoint: 'proxy',
      ...change.data,
    },
  };
}

/** The settlement of the reservation of a request, as a gateway writes it. */
export function settlementOf(
  request: UsageCloudEvent<RequestData>,
  number: number,
  data: Partial<CorrectionData> = {},
): UsageCloudEvent<CorrectionData> {
  return {
    ...request,
    id: `settlement-${request.id}-${number}`,
    type: amendEventType,
    time: new Date().toISOString(),
    data: {
      event_id: request.id,
      event_source: request.source,
      event_time: request.time,
      ...data,
      reservation: { state: 'settled', number, ...data.reservation },
    },
  };
}

/** An event of an external producer. */
export function meterEvent(
  tenant: string,
  change: {
    readonly id?: string;
    readonly timeMs?: number;
    readonly type?: string;
    readonly data?: object;
  } = {},
): UsageCloudEvent {
  return {
    specversion: '1.0',
    id: change.id ?? randomUUID(),
    source: 'billing-app',
    type: change.type ?? 'tokens.used',
    time: new Date(change.timeMs ?? Date.now()).toISOString(),
    subject: tenant,
    datacontenttype: 'application/json',
    data: change.data ?? { tokens: 10, model: 'small' },
  };
}

import { eventBounds } from '../../../shared/domain/events/bounds.ts';
import { costOf, noPrice } from '../../../shared/domain/money.ts';
import type { Price } from '../../../shared/domain/money.ts';
import { anonymousTenant, refundEventType, requestEventType } from '../../../shared/domain/usage-event.ts';
import type { RefundData, RequestEvent, UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Weigh } from './event-sampling.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** Where events go: see `Spool`, of which this is the part that an entrypoint needs. */
export interface EventLog {
  /** Numbers the event and takes it; durable once `flushed()` resolves. */
  append(eventAt: (sequence: number) => UsageCloudEvent): number;
  flushed(): Promise<void>;
}

export interface Answered {
  readonly status: number;
  readonly latencyMs: number;
  readonly entrypoint: string;
}

/** Resolves when the event is safe: only then may the response leave. Never rejects. */
export type Meter = (verdict: Verdict, answered: Answered) => Promise<void>;

const { unitsMax, costMax, latencyMsMax, limitsMax, methodLengthMax } = eventBounds;
/** Resolves when the event of the returned units is safe. Never rejects. */
export type RefundMeter = (verdict: Verdict, units: number) => Promise<void>;

const pathLengthMax = 256;
const addressLengthMax = 64;

/**
 * Writes the one event of an answered request: after the status is known, before the response leaves. Its id and time
 * are the decision's. A crash before the append costs an answer the client never got; a crash after it costs nothing.
 * An event the spool cannot take is counted and logged, and the request is answered all the same. Of a flood of refused
 * credentials a sample is written.
 */
export function createMeter(
  events: EventLog,
  node: string,
  metrics: GatewayMetrics,
  logger: Logger,
  weigh: Weigh,
): Meter {
  const source = `tollgate/${node}`;
  return (verdict, answered) => {
    metrics.answered(answered.entrypoint, answered.status);
    const weight = weigh(verdict);
    if (weight === 0) {
      metrics.eventsSampledOut.inc();
      return written;
    }
    try {
      events.append((sequence) => eventOf(verdict, answered, { source, node, sequence, weight }));
      return events.flushed();
    } catch (error) {
      metrics.eventsLost.inc();
      const text = `usage event not written: ${messageOf(error)}`;
      logger.error({ err: error, decision: verdict.decision.id }, text);
      return Promise.resolve();
    }
  };
}

/**
 * Writes how many units of a decision were returned. A crash before it leaves them returned in Redis and used in
 * ClickHouse, which is too much of the caller's usage and never too little.
 */
export function createRefundMeter(
  events: EventLog,
  node: string,
  metrics: GatewayMetrics,
  logger: Logger,
): RefundMeter {
  const source = `tollgate/${node}`;
  return ({ decision, identity, plan, route, atMs }, units) => {
    const event: UsageCloudEvent<RefundData> = {
      specversion: '1.0',
      id: decision.id,
      source,
      type: refundEventType,
      time: new Date(atMs).toISOString(),
      subject: identity.tenantId ?? anonymousTenant,
      datacontenttype: 'application/json',
      data: {
        user_id: identity.userId ?? '',
        plan: plan.name,
        route: route?.match ?? '*',
        units: within(units, unitsMax),
        cost: costWithin(units, route?.unitPrice ?? noPrice),
      },
    };
    try {
      events.append(() => event);
      return events.flushed();
    } catch (error) {
      metrics.eventsLost.inc();
      logger.error({ err: error, decision: decision.id }, `refund event not written: ${messageOf(error)}`);
      return Promise.resolve();
    }
  };
}

const written = Promise.resolve();

interface Place {
  readonly source: string;
  readonly node: string;
  readonly sequence: number;
  readonly weight: number;
}

function eventOf(
  verdict: Verdict,
  { status, latencyMs, entrypoint }: Answered,
  { source, node, sequence, weight }: Place,
): RequestEvent {
  const { decision, identity, plan, route, units, method, path, atMs } = verdict;
  return {
    specversion: '1.0',
    id: decision.id,
    source,
    type: requestEventType,
    time: new Date(atMs).toISOString(),
    subject: identity.tenantId ?? anonymousTenant,
    datacontenttype: 'application/json',
    data: {
      user_id: identity.userId ?? '',
      plan: plan.name,
      // What was refused as no method may be text of any length. A cut may leave half a character.
      method: method.slice(0, methodLengthMax).toWellFormed(),
      route: route?.match ?? '*',
      path: path.slice(0, pathLengthMax).toWellFormed(),
      status,
      decision: decision.outcome,
      limited_by:
        decision.limitedBy.length > limitsMax ? decision.limitedBy.slice(0, limitsMax) : decision.limitedBy,
      units: within(units, unitsMax),
      cost: costWithin(units, route?.unitPrice ?? noPrice),
      latency_ms: Math.round(within(latencyMs, latencyMsMax) * 1000) / 1000,
      check_us: decision.checkMicros,
      node,
      sequence,
      degraded: decision.degraded,
      client_ip: identity.ip.slice(0, addressLengthMax),
      service: identity.service ?? '',
      entrypoint,
      ...(weight === 1 ? noWeight : { sample_weight: weight }),
    },
  };
}

const noWeight = {};

/** A request was answered and has to be counted, whatever its numbers are: outside the contract it would not be. */
function costWithin(units: number, price: Price): number | string {
  const about = (units * price.digits) / price.divisor;
  return about >= 0 && about <= costMax ? costOf(units, price) : within(about, costMax);
}

function within(value: number, max: number): number {
  return value >= 0 ? Math.min(value, max) : 0;
}

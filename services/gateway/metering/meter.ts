import type { CorrectionData } from '../../../shared/domain/events/correction.ts';
import { eventBounds } from '../../../shared/domain/events/bounds.ts';
import { costOf, noPrice } from '../../../shared/domain/money.ts';
import type { Price } from '../../../shared/domain/money.ts';
import { anonymousTenant, refundEventType, requestEventType } from '../../../shared/domain/usage-event.ts';
import type {
  RefundData,
  RequestData,
  RequestEvent,
  UsageCloudEvent,
} from '../../../shared/domain/usage-event.ts';
import type { EventText } from '../spool/folder/run-id.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import { reservedFields, usageFields } from './call-events.ts';
import type { ReportedUsage } from './call-events.ts';
import type { EventSampling } from './event-sampling.ts';
import type { GatewayMetrics } from '../metrics.ts';
import { requestEventText } from './request-event-text.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** The methods of the spool that entrypoints need; see `Spool`. */
export interface EventLog {
  /**
   * Calls `eventAt` with the next sequence number and appends the event that it returns. The event is durable when
   * `flushed()` resolves. `textOf` writes the event in place of `JSON.stringify`.
   */
  append<Event extends UsageCloudEvent>(
    eventAt: (sequence: number) => Event,
    textOf?: EventText<Event>,
  ): number;
  flushed(): Promise<void>;
}

/** What a usage event states about the response. */
export interface MeteredResponse {
  /** `runningStatus` for a call whose event is written before the call is forwarded. */
  readonly status: number;
  readonly latencyMs: number;
  readonly entrypoint: string;
  /** Set if the usage of the call is known and was not reserved. */
  readonly usage?: ReportedUsage;
}

/** Status of a call that has no response yet. Its settlement states the status. */
export const runningStatus = 0;

export interface MeterOptions {
  readonly events: EventLog;
  readonly node: string;
  readonly metrics: Pick<GatewayMetrics, 'countResponse' | 'eventsSampledOut' | 'eventsLost'>;
  readonly logger: Logger;
  readonly sampling: Pick<EventSampling, 'weigh'>;
}

const { unitsMax, costMax, latencyMsMax, limitsMax, methodLengthMax, decidedAfterMicrosMax } = eventBounds;
const pathLengthMax = 256;
const addressLengthMax = 64;

/** Writes the usage events of an enforcer. */
export class Meter {
  readonly #options: MeterOptions;
  readonly #source: string;

  constructor(options: MeterOptions) {
    this.#options = options;
    this.#source = `tollgate/${options.node}`;
  }

  /**
   * Writes the usage event of a request. Has to be called when the status is known and before the response is sent. The
   * event has the id and the time of the decision. Resolves when the event is durable; never rejects.
   *
   * If the process crashes before the append, the client gets no response and the request has no event; a crash after
   * the append loses nothing. If the spool refuses the event, the loss is counted and logged, and the request is still
   * served. Of a flood of invalid credentials or invalid requests, only a sample is written.
   *
   * A request that repeats a reservation has the event of the first request, so none is written.
   */
  writeRequest(verdict: Verdict, response: MeteredResponse): Promise<void> {
    const { events, node, metrics, sampling } = this.#options;
    if (response.status !== runningStatus) metrics.countResponse(response.entrypoint, response.status);
    if (verdict.reservation?.repeated === true) return nothingToWrite;
    const weight = sampling.weigh(verdict);
    if (weight === 0) {
      metrics.eventsSampledOut.inc();
      return nothingToWrite;
    }
    const source = this.#source;
    try {
      events.append(
        (sequence) => requestEvent(verdict, response, { source, node, sequence, weight }),
        requestEventText,
      );
      return events.flushed();
    } catch (error) {
      return this.#reportLost(verdict.decision.id, error, 'usage event');
    }
  }

  /**
   * Writes the number of units of a decision that were returned to the limits. Resolves when the event is durable;
   * never rejects. If the process crashes before the append, the units are returned in Redis but still used in
   * ClickHouse: the caller's usage is then too high, never too low.
   */
  writeRefund(verdict: Verdict, units: number): Promise<void> {
    const { events } = this.#options;
    const event = refundEvent(verdict, units, this.#source);
    try {
      events.append(() => event);
      return events.flushed();
    } catch (error) {
      return this.#reportLost(verdict.decision.id, error, 'refund event');
    }
  }

  /** Writes a change of the event of a call. Resolves when the change is durable; never rejects. */
  writeCorrection(event: UsageCloudEvent<CorrectionData>): Promise<void> {
    const { events } = this.#options;
    try {
      events.append(() => event);
      return events.flushed();
    } catch (error) {
      return this.#reportLost(event.data.event_id, error, 'correction');
    }
  }

  /** The source of the events of this node. */
  get source(): string {
    return this.#source;
  }

  #reportLost(decisionId: string, error: unknown, kind: string): Promise<void> {
    const { metrics, logger } = this.#options;
    metrics.eventsLost.inc();
    logger.error({ err: error, decision: decisionId }, `${kind} not written: ${messageOf(error)}`);
    return nothingToWrite;
  }
}

const nothingToWrite = Promise.resolve();

interface EventPosition {
  readonly source: string;
  readonly node: string;
  readonly sequence: number;
  readonly weight: number;
}

function requestEvent(
  verdict: Verdict,
  { status, latencyMs, entrypoint, usage }: MeteredResponse,
  { source, node, sequence, weight }: EventPosition,
): RequestEvent {
  const { decision, identity, plan, route, units, method, path, atMs, redisTimeMs, reservation, policy } =
    verdict;
  const cost = clampedCost(units, route?.unitPrice ?? noPrice);
  const data: Draft<RequestData> = {
    user_id: identity.userId ?? '',
    plan: plan.name,
    // An invalid request may have a method of any length. Cutting it may leave half a surrogate pair, which
    // `toWellFormed` replaces.
    method: method.slice(0, methodLengthMax).toWellFormed(),
    route: route?.match ?? '*',
    path: path.slice(0, pathLengthMax).toWellFormed(),
    status,
    decision: decision.outcome,
    limited_by:
      decision.limitedBy.length > limitsMax ? decision.limitedBy.slice(0, limitsMax) : decision.limitedBy,
    units: clamp(units, unitsMax),
    cost,
    latency_ms: Math.round(clamp(latencyMs, latencyMsMax) * 1000) / 1000,
    check_us: decision.checkMicros,
    node,
    sequence,
    degraded: decision.degraded,
    client_ip: identity.ip.slice(0, addressLengthMax),
    service: identity.service ?? '',
    entrypoint,
    policy_revision: policy.revision,
  };
  const decidedAfterMicros = decidedAfter(redisTimeMs, atMs);
  if (decidedAfterMicros !== 0) data.decided_after_us = decidedAfterMicros;
  if (identity.apiKey !== undefined) data.api_key = identity.apiKey.id;
  if (weight !== 1) data.sample_weight = weight;
  if (reservation !== null) Object.assign(data, reservedFields(reservation, cost));
  if (usage !== undefined) Object.assign(data, usageFields(usage, policy, cost));
  const event: RequestEvent = {
    specversion: '1.0',
    id: decision.id,
    source,
    type: requestEventType,
    time: timeText(atMs),
    subject: identity.tenantId ?? anonymousTenant,
    datacontenttype: 'application/json',
    data,
  };
  const traceparent = verdict.trace?.traceparent ?? null;
  return traceparent === null ? event : { ...event, traceparent };
}

type Draft<Data> = { -readonly [Name in keyof Data]: Data[Name] };

let lastTimeMs = NaN;
let lastTimeText = '';

/** Returns the time as ISO 8601. Many requests of a busy node have the same millisecond. */
function timeText(ms: number): string {
  if (ms !== lastTimeMs) {
    lastTimeText = new Date(ms).toISOString();
    lastTimeMs = ms;
  }
  return lastTimeText;
}

/**
 * Microseconds from the event's time to the decision in Redis; 0 if Redis did not decide. A difference of the clocks beyond the
 * bound is left out, so that the event is not refused because of it.
 */
function decidedAfter(redisTimeMs: number, atMs: number): number {
  if (redisTimeMs === 0) return 0;
  const micros = Math.round((redisTimeMs - atMs) * 1000);
  return Math.abs(micros) > decidedAfterMicrosMax ? 0 : micros;
}

function refundEvent(
  { decision, identity, plan, route, atMs }: Verdict,
  units: number,
  source: string,
): UsageCloudEvent<RefundData> {
  return {
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
      units: clamp(units, unitsMax),
      cost: clampedCost(units, route?.unitPrice ?? noPrice),
    },
  };
}

/**
 * Returns the cost within the bounds of the event contract, because the aggregator does not count an event outside of
 * them.
 */
function clampedCost(units: number, price: Price): number | string {
  const about = (units * price.digits) / price.divisor;
  return about >= 0 && about <= costMax ? costOf(units, price) : clamp(about, costMax);
}

/** Returns the value if it is between 0 and `max`, else the nearer bound; for NaN, 0. */
function clamp(value: number, max: number): number {
  return value >= 0 ? Math.min(value, max) : 0;
}

import { amendEventType, voidEventType } from './correction.ts';
import { outcomes } from '../decision.ts';
import type { Outcome } from '../decision.ts';
import { idLengthMax, problemOfId } from '../identity.ts';
import { instantExample, readInstant } from '../time/instant.ts';
import type { Money } from '../money.ts';
import { apiKeyIdLength } from '../tenant.ts';
import { spoolRunLengthMax } from '../spool-run.ts';
import { isGatewaySource, refundEventType, requestEventType } from '../usage-event.ts';
import { eventBounds } from './bounds.ts';
import type { TimeBounds } from './bounds.ts';
import { dataOf } from './content.ts';
import { noCallUsage, readCallUsage, readCallUsageChange } from './call-usage.ts';
import type { CallUsage, CallUsageChange } from './call-usage.ts';
import { readCorrection } from './correction-fields.ts';
import type { CorrectionFields } from './correction-fields.ts';
import {
  boolean,
  EventRejection,
  fieldsOf,
  integer,
  money,
  number,
  requiredText,
  signedInteger,
  text,
  texts,
} from './fields.ts';
import type { Fields, Json } from './fields.ts';
import { dataProperties, extensionProperties } from './properties.ts';
import type { Properties } from './properties.ts';
import { counted } from '../text/counted.ts';

/** The fields of an event that are stored. A field that the event does not have is an empty text or 0. */
export interface UsageFields {
  readonly userId: string;
  readonly plan: string;
  readonly method: string;
  readonly route: string;
  readonly path: string;
  readonly status: number;
  readonly decision: Outcome;
  readonly limitedBy: readonly string[];
  readonly units: number;
  readonly cost: Money;
  readonly latencyMs: number;
  readonly checkMicros: number;
  readonly node: string;
  readonly sequence: number;
  readonly degraded: boolean;
  readonly clientIp: string;
  readonly service: string;
  readonly entrypoint: string;
  /** Id of the API key; empty for an event of an API server. */
  readonly apiKey: string;
  /** Revision of the policy that decided; empty for an event of an API server or of an older release. */
  readonly policyRevision: string;
  /** Microseconds from the time of the event to its decision in Redis; 0 if Redis was not called. */
  readonly decidedAfterMicros: number;
  readonly properties: Properties;
  /** `noCallUsage` for an event without usage beyond its units. */
  readonly usage: CallUsage;
}

export interface EventHead {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly tenantId: string;
  readonly timeMs: number;
  /** Id of the spool run that assigned the sequence number; empty for an event without a sequence number. */
  readonly spool: string;
}

export type EventReading =
  /** A request and the decision about it, published by a gateway. */
  | { readonly kind: 'request'; readonly head: EventHead; readonly fields: UsageFields }
  /** Usage that an API server measured and published. */
  | { readonly kind: 'meter'; readonly head: EventHead; readonly fields: UsageFields; readonly data: Json }
  | {
      readonly kind: 'correction';
      readonly head: EventHead;
      readonly correction: CorrectionFields;
      /** Null if the correction does not change the usage of a call to an upstream. */
      readonly usage: CallUsageChange | null;
      /** Sequence number in the spool run; 0 for an event without a sequence number. */
      readonly sequence: number;
    }
  | { readonly kind: 'rejected'; readonly reason: string };

/**
 * The contract of usage events. Reads a CloudEvent in JSON format, or returns the reason for rejecting it. A gateway
 * publishes only events that this function accepts, and the aggregator stores the fields that it returns.
 */
export function readEvent(event: Json, nowMs: number, bounds: TimeBounds): EventReading {
  try {
    return read(fieldsOf(event), nowMs, bounds);
  } catch (error) {
    if (error instanceof EventRejection) return { kind: 'rejected', reason: error.message };
    throw error;
  }
}

function read(event: Fields, nowMs: number, bounds: TimeBounds): EventReading {
  if (event.json['specversion'] !== '1.0') throw new EventRejection('specversion must be "1.0"');
  const head: EventHead = {
    id: requiredText(event, 'id', idLengthMax),
    source: requiredText(event, 'source', idLengthMax),
    type: requiredText(event, 'type', eventBounds.typeLengthMax),
    tenantId: subjectOf(event),
    timeMs: timeOf(event, nowMs, bounds),
    spool: text(event, 'spool', spoolRunLengthMax, ''),
  };
  const data = fieldsOf(dataOf(event), 'data.');
  if (head.type === amendEventType || head.type === voidEventType) {
    return {
      kind: 'correction',
      head,
      correction: readCorrection(data),
      usage: readCallUsageChange(data, head),
      sequence: sequenceOf(event, head),
    };
  }
  const extensions = extensionProperties(event.json);
  if (head.type === requestEventType)
    return { kind: 'request', head, fields: requestFields(data, extensions, head) };
  const fields = meterFields(data, extensions, sequenceOf(event, head));
  const isRefund = head.type === refundEventType;
  return {
    kind: 'meter',
    head,
    fields: isRefund ? { ...fields, units: -fields.units, cost: -fields.cost } : fields,
    data: data.json,
  };
}

/** The sequence number that a gateway's spool assigned to the event. */
function sequenceOf(event: Fields, { spool }: EventHead): number {
  return spool === '' ? 0 : integer(event, 'spoolsequence', Number.MAX_SAFE_INTEGER);
}

function subjectOf(event: Fields): string {
  const subject = text(event, 'subject', idLengthMax);
  const problem = problemOfId(subject);
  if (problem !== null) throw new EventRejection(`subject ${problem}`);
  return subject;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

function timeOf(event: Fields, nowMs: number, { lateMsMax, aheadMsMax }: TimeBounds): number {
  const { time } = event.json;
  if (time === undefined || time === null) throw new EventRejection('time is missing');
  const timeMs = typeof time === 'string' ? readInstant(time) : null;
  if (timeMs === null) {
    throw new EventRejection(`time must be an RFC 3339 time, e.g. ${instantExample}`);
  }
  if (timeMs > nowMs + aheadMsMax) {
    throw new EventRejection(`time is more than ${aheadMsMax / minuteMs} minutes in the future`);
  }
  if (timeMs < nowMs - lateMsMax) {
    const hours = lateMsMax / hourMs;
    const age = hours >= 48 ? `${Math.floor(hours / 24)} days` : counted(hours, 'hour');
    throw new EventRejection(`time is more than ${age} ago, longer than raw events can be added to totals`);
  }
  return timeMs;
}

const microsMax = 4_294_967_295;

function requestFields(data: Fields, extensions: Properties, head: EventHead): UsageFields {
  const decision = text(data, 'decision', 32) as Outcome;
  if (!outcomes.includes(decision)) {
    throw new EventRejection(`data.decision must be one of: ${outcomes.join(', ')}`);
  }
  return {
    userId: text(data, 'user_id', idLengthMax),
    plan: text(data, 'plan', idLengthMax),
    method: text(data, 'method', eventBounds.methodLengthMax),
    route: text(data, 'route', eventBounds.routeLengthMax),
    path: text(data, 'path', eventBounds.pathLengthMax),
    status: integer(data, 'status', 999),
    decision,
    limitedBy: texts(data, 'limited_by', eventBounds.limitsMax),
    units: number(data, 'units', eventBounds.unitsMax),
    cost: money(data, 'cost', eventBounds.costMax),
    latencyMs: number(data, 'latency_ms', eventBounds.latencyMsMax),
    checkMicros: Math.min(integer(data, 'check_us', Number.MAX_SAFE_INTEGER), microsMax),
    node: text(data, 'node', idLengthMax),
    sequence: integer(data, 'sequence', Number.MAX_SAFE_INTEGER),
    degraded: boolean(data, 'degraded'),
    clientIp: text(data, 'client_ip', 64),
    service: text(data, 'service', idLengthMax),
    entrypoint: text(data, 'entrypoint', 32),
    apiKey: text(data, 'api_key', apiKeyIdLength, ''),
    policyRevision: text(data, 'policy_revision', eventBounds.policyRevisionLengthMax, ''),
    decidedAfterMicros: signedInteger(data, 'decided_after_us', eventBounds.decidedAfterMicrosMax, 0),
    properties: sampled(data, extensions, head.source),
    usage: readCallUsage(data, head),
  };
}

const sampleWeightMax = 1_000_000;

/**
 * A sampled event represents several requests. Their number is stored as a property, but totals count the event once.
 * Only gateways publish sampled events.
 */
function sampled(data: Fields, extensions: Properties, source: string): Properties {
  if (data.json['sample_weight'] === undefined) return extensions;
  if (!isGatewaySource(source)) throw new EventRejection('data.sample_weight is for gateways only');
  return { ...extensions, sample_weight: String(integer(data, 'sample_weight', sampleWeightMax)) };
}

/**
 * Fields of `data` of an API server's event that have columns of their own; all other fields are stored as
 * properties.
 */
const meterColumns: ReadonlySet<string> = new Set(['units', 'cost', 'user_id', 'plan', 'route']);

/** Fields of an event that an API server published. Units and cost are 0 if absent. */
function meterFields(data: Fields, extensions: Properties, sequence: number): UsageFields {
  return {
    userId: text(data, 'user_id', idLengthMax, ''),
    plan: text(data, 'plan', idLengthMax, ''),
    method: '',
    route: text(data, 'route', eventBounds.routeLengthMax, ''),
    path: '',
    status: 0,
    decision: 'allowed',
    limitedBy: [],
    units: number(data, 'units', eventBounds.unitsMax, 0),
    cost: money(data, 'cost', eventBounds.costMax, 0n),
    latencyMs: 0,
    checkMicros: 0,
    node: '',
    sequence,
    degraded: false,
    clientIp: '',
    service: '',
    entrypoint: 'events',
    apiKey: '',
    policyRevision: '',
    decidedAfterMicros: 0,
    properties: dataProperties(data, meterColumns, extensions),
    usage: noCallUsage,
  };
}

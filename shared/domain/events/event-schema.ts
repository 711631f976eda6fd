import { outcomes } from '../decision.ts';
import { apiKeyIdLength } from '../tenant.ts';
import { spoolRunLengthMax } from '../spool-run.ts';
import type { JsonSchema } from '../topics/shape.ts';
import { refundEventType, requestEventType, reservationStates } from '../usage-event.ts';
import { usageSources } from '../usage/measures.ts';
import { eventBounds } from './bounds.ts';
import { amendEventType, voidEventType } from './correction.ts';

/**
 * JSON Schemas of the events on `tollgate.usage.v1`. `readEvent` decides what is accepted; a test compares the fields and
 * the bounds of the schemas with it. Lengths of a schema are in characters, those of `readEvent` in UTF-16 code units.
 */
export interface EventSchema {
  /** CloudEvents type; null for events of API servers, whose types are free. */
  readonly type: string | null;
  readonly title: string;
  readonly data: JsonSchema;
}

const b = eventBounds;
const text = (maxLength: number): JsonSchema => ({ type: 'string', maxLength });
const filledText = (maxLength: number): JsonSchema => ({ type: 'string', minLength: 1, maxLength });
const number = (maximum: number): JsonSchema => ({ type: 'number', minimum: 0, maximum });
const integer = (maximum: number): JsonSchema => ({ type: 'integer', minimum: 0, maximum });
const instant: JsonSchema = { type: 'string', format: 'date-time', maxLength: 64 };
/** A number, or a decimal text for a value with more digits than a number can hold. */
const money = (maximum: number): JsonSchema => ({
  anyOf: [number(maximum), { type: 'string', pattern: '^\\d{1,20}(\\.\\d{1,30})?$' }],
});
const named = (values: JsonSchema): JsonSchema => ({
  type: 'object',
  maxProperties: b.quantitiesMax,
  propertyNames: { pattern: '^[a-z][a-z0-9_]{0,47}$' },
  additionalProperties: values,
});

const callUsage = {
  model: filledText(b.modelLengthMax),
  quantities: named(money(b.quantityMax)),
  measures: named(integer(Number.MAX_SAFE_INTEGER)),
  usage_source: { type: 'string', enum: usageSources },
};
const reservation = {
  state: { type: 'string', enum: reservationStates },
  reserved: named(money(b.quantityMax)),
  expires_at: instant,
};

const request: JsonSchema = {
  type: 'object',
  properties: {
    user_id: text(b.idLengthMax),
    plan: text(b.idLengthMax),
    method: text(b.methodLengthMax),
    route: text(b.routeLengthMax),
    path: text(b.pathLengthMax),
    status: integer(999),
    decision: { type: 'string', enum: outcomes },
    limited_by: { type: 'array', items: { type: 'string' }, maxItems: b.limitsMax },
    units: number(b.unitsMax),
    cost: money(b.costMax),
    latency_ms: number(b.latencyMsMax),
    check_us: integer(Number.MAX_SAFE_INTEGER),
    node: text(b.idLengthMax),
    sequence: integer(Number.MAX_SAFE_INTEGER),
    degraded: { type: 'boolean' },
    client_ip: text(64),
    service: text(b.idLengthMax),
    entrypoint: text(32),
    api_key: text(apiKeyIdLength),
    policy_revision: text(b.policyRevisionLengthMax),
    decided_after_us: {
      type: 'integer',
      minimum: -b.decidedAfterMicrosMax,
      maximum: b.decidedAfterMicrosMax,
    },
    sample_weight: integer(1_000_000),
    ...callUsage,
    reservation: {
      type: 'object',
      properties: { id: text(b.idLengthMax), ...reservation },
      required: ['state', 'reserved', 'expires_at'],
    },
  },
  required: [
    ...['user_id', 'plan', 'method', 'route', 'path', 'status', 'decision', 'limited_by', 'units', 'cost'],
    ...['latency_ms', 'check_us', 'node', 'sequence', 'degraded', 'client_ip', 'service', 'entrypoint'],
  ],
};

const meter: JsonSchema = {
  type: 'object',
  properties: {
    user_id: text(b.idLengthMax),
    plan: text(b.idLengthMax),
    route: text(b.routeLengthMax),
    units: number(b.unitsMax),
    cost: money(b.costMax),
  },
  // Every other member is stored as a property.
  additionalProperties: true,
};

const correction: JsonSchema = {
  type: 'object',
  properties: {
    event_id: filledText(b.idLengthMax),
    event_source: filledText(b.idLengthMax),
    event_time: instant,
    units: number(b.unitsMax),
    cost: money(b.costMax),
    status: integer(999),
    latency_ms: number(b.latencyMsMax),
    properties: {
      type: 'object',
      maxProperties: b.propertiesMax,
      additionalProperties: { type: ['string', 'number', 'boolean'] },
    },
    ...callUsage,
    reservation: {
      type: 'object',
      properties: { ...reservation, number: integer(b.settlementsMax) },
      required: ['state'],
    },
  },
  required: ['event_id'],
};

export const eventSchemas = {
  request: {
    type: requestEventType,
    title: 'Request and the decision about it, by a gateway',
    data: request,
  },
  meter: { type: null, title: 'Usage that an API server measured', data: meter },
  refund: { type: refundEventType, title: 'Units returned to the limits of a caller', data: meter },
  amend: { type: amendEventType, title: 'New values of an earlier event', data: correction },
  void: { type: voidEventType, title: 'Removal of an earlier event from the totals', data: correction },
} as const satisfies Readonly<Record<string, EventSchema>>;

/** The schema of a complete event in CloudEvents JSON format. */
export function cloudEventSchema({ type, title, data }: EventSchema): JsonSchema {
  return {
    title,
    type: 'object',
    properties: {
      specversion: { const: '1.0' },
      id: filledText(b.idLengthMax),
      source: filledText(b.idLengthMax),
      type: type === null ? filledText(b.typeLengthMax) : { const: type },
      subject: { ...filledText(b.idLengthMax), description: 'The tenant.' },
      time: { type: 'string', format: 'date-time' },
      datacontenttype: { type: 'string' },
      spool: text(spoolRunLengthMax),
      spoolsequence: integer(Number.MAX_SAFE_INTEGER),
      data,
    },
    required: ['specversion', 'id', 'source', 'type', 'subject', 'time'],
    additionalProperties: true,
  };
}

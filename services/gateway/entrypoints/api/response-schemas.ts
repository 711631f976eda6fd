import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Policy } from '../../../../shared/domain/policy.ts';
import { decimalAmount } from '../../../../shared/domain/usage/quantity.ts';
import type { Quantity } from '../../../../shared/domain/usage/quantity.ts';
import type { LimitState } from '../../../../shared/domain/limit.ts';

const amountSchema = Type.Union([Type.Number(), Type.String()], {
  description:
    'Units, or an amount in the unit of the quantity: a decimal text where a number cannot hold its digits.',
});

/** Schema of a limit and its state. */
export const limitViewSchema = Type.Object({
  name: Type.String(),
  quantity: Type.Optional(
    Type.String({ description: 'What is counted, in its own unit; absent: units of requests.' }),
  ),
  limit: amountSchema,
  carried: Type.Optional({
    ...amountSchema,
    description: 'The part of `limit` that was carried over from the period before; absent: none.',
  }),
  remaining: amountSchema,
  reset: Type.Integer({ description: 'Unix seconds at which the whole limit is available again.' }),
  window_seconds: Type.Integer({ description: '0 for concurrent limits.' }),
  mode: Type.String({ description: 'enforce, or shadow (decides and records, never refuses).' }),
  exceeded: Type.Boolean({ description: 'No room for the cost of the request.' }),
});

const useText = 'null where Redis did not respond.';

/** Schema of a limit, its state, and how its units are used. `left` is exactly `limit` minus `used` minus `reserved`. */
export const limitUseSchema = Type.Object({
  ...limitViewSchema.properties,
  used: Type.Union([amountSchema, Type.Null()], { description: `Final usage in the window; ${useText}` }),
  reserved: Type.Union([amountSchema, Type.Null()], {
    description: `Amounts of calls in progress and of expired reservations in the window; ${useText}`,
  }),
  left: Type.Union([amountSchema, Type.Null()], {
    description: `limit − used − reserved: negative if calls used more than they reserved; ${useText}`,
  }),
});

export type LimitView = Static<typeof limitViewSchema>;

/** Returns the states as the API shows them: each amount is in the unit of its quantity, which the policy defines. */
export function limitViews(
  states: readonly LimitState[],
  { quantities }: Pick<Policy, 'quantities'>,
): LimitView[] {
  return states.map(({ name, of, limit, carried, remaining, resetAtMs, windowMs, mode, violated }) => ({
    name,
    ...amountsOfView(quantities.get(of), limit, remaining),
    ...(carried === undefined ? {} : { carried: shownAmount(quantities.get(of), carried) }),
    reset: Math.ceil(resetAtMs / 1000),
    window_seconds: Math.ceil(windowMs / 1000),
    mode,
    exceeded: violated,
  }));
}

/** The same for `GET /v1/usage`. */
export function limitUses(
  states: readonly LimitState[],
  policy: Pick<Policy, 'quantities'>,
): Static<typeof limitUseSchema>[] {
  const views = limitViews(states, policy);
  return states.map(({ of, limit, use }, index) => {
    const view = views[index];
    if (view === undefined) throw new TypeError('A limit without a view');
    if (use === undefined) return { ...view, used: null, reserved: null, left: null };
    const { used, reserved } = use;
    const shown = (units: number): number | string => shownAmount(policy.quantities.get(of), units);
    return { ...view, used: shown(used), reserved: shown(reserved), left: shown(limit - used - reserved) };
  });
}

function shownAmount(quantity: Quantity | undefined, units: number): number | string {
  return quantity === undefined ? units : decimalAmount(quantity, units);
}

function amountsOfView(
  quantity: Quantity | undefined,
  limit: number,
  remaining: number,
): Pick<LimitView, 'quantity' | 'limit' | 'remaining'> {
  if (quantity === undefined) return { limit, remaining };
  return {
    quantity: quantity.name,
    limit: decimalAmount(quantity, limit),
    remaining: decimalAmount(quantity, remaining),
  };
}

/** Response schemas for the OpenAPI document only: the types of these responses follow from the code of the routes. */
const text = Type.String();
const textOrNull = Type.Unsafe<string | null>({ type: ['string', 'null'] });
const closed = { additionalProperties: false };

const ruleSchema = Type.Object(
  {
    name: text,
    per: Type.Array(text),
    type: Type.String({ description: 'sliding, quota or concurrent' }),
    limit: Type.Number({ description: 'Units per window, as in force for the tenant.' }),
    window_seconds: Type.Integer(),
    period: Type.Optional(Type.String({ description: 'Calendar period of a quota.' })),
    billing_day: Type.Optional(
      Type.Integer({ description: 'Day on which the months of a tenant without a billing day begin.' }),
    ),
    burst: Type.Optional(Type.Number()),
    mode: Type.String({ description: 'enforce or shadow' }),
    route: Type.Optional(text),
  },
  { ...closed, description: 'A limit of the policy, with the value in force for the tenant.' },
);

export const limitsResponse: object = Type.Object(
  {
    tenant_id: text,
    plan: text,
    policy_revision: text,
    mode: text,
    limits: Type.Array(ruleSchema),
    routes: Type.Array(
      Type.Object(
        {
          match: text,
          exempt: Type.Optional(Type.Literal(true, { description: 'No limit applies to this route.' })),
          cost: Type.Number(),
          price: Type.Number(),
          limits: Type.Array(ruleSchema),
        },
        closed,
      ),
    ),
    sessions: Type.Array(
      Type.Object(
        { kind: text, per: Type.Array(text), limit: Type.Integer(), ttl_seconds: Type.Number() },
        closed,
      ),
    ),
    platform: Type.Array(ruleSchema),
    slow_down: Type.Unsafe<object | null>({
      type: ['object', 'null'],
      properties: { from: { type: 'number' }, max_delay_ms: { type: 'number' } },
    }),
    boosts: Type.Array(
      Type.Object(
        {
          limit: text,
          multiply: Type.Optional(Type.Number()),
          set_to: Type.Optional(Type.Number()),
          ends_at: text,
          reason: text,
        },
        { ...closed, description: 'Boosts that run now.' },
      ),
    ),
    documentation_url: text,
    upgrade_url: text,
  },
  closed,
);

export const sessionResponse: object = Type.Object(
  {
    session_id: text,
    kind: text,
    active: Type.Integer({ description: 'Sessions open now, this one included.' }),
    limit: Type.Integer(),
    expires_at: Type.String({ format: 'date-time' }),
    heartbeat_seconds: Type.Integer({ description: 'Send a heartbeat at least this often.' }),
    degraded: Type.Boolean({ description: 'Decided without Redis.' }),
  },
  closed,
);

const eventSchema = Type.Unsafe<object | null>({
  type: ['object', 'null'],
  description: 'The event as analysts find it in usage_events; null where it is not stored yet.',
  required: ['event_id', 'time', 'tenant_id', 'status', 'decision', 'units', 'cost', 'latency_ms'],
  properties: {
    event_id: { type: 'string' },
    time: { type: 'string', format: 'date-time' },
    tenant_id: { type: 'string' },
    status: { type: 'integer', description: 'Status of the application, once it reported an outcome.' },
    decision: { type: 'string' },
    units: { type: 'number' },
    cost: { type: 'number' },
    latency_ms: { type: 'number' },
  },
});

export const decisionResponse: object = Type.Object(
  {
    decision_id: text,
    at: Type.String({ format: 'date-time' }),
    tenant_id: textOrNull,
    user: textOrNull,
    plan: text,
    request: Type.Object(
      { method: text, path: text, route: textOrNull, units: Type.Number(), client_ip: text },
      closed,
    ),
    outcome: Type.String({ description: 'allowed, limited, bypassed or shadow_limited' }),
    reason: textOrNull,
    explanation: text,
    limited_by: Type.Array(text),
    degraded: Type.Boolean(),
    counters: Type.Object(
      { as_of: Type.String({ description: 'decision or now' }), limits: Type.Array(limitViewSchema) },
      closed,
    ),
    rules: Type.Array(ruleSchema),
    policy_revision: text,
    event: eventSchema,
  },
  closed,
);

/** Schema of a response without a body. */
export function noBody(description: string): object {
  return Type.Null({ description });
}

/**
 * Schema of the body of `POST /v1/events`, for the OpenAPI document only; `shared/domain/events` validates the events.
 */
const cloudEvent = {
  type: 'object',
  description: 'A CloudEvent 1.0 in JSON format. docs/events.md has its bounds.',
  required: ['specversion', 'id', 'source', 'type'],
  properties: {
    specversion: { const: '1.0' },
    id: { type: 'string', minLength: 1, maxLength: 256 },
    source: { type: 'string', minLength: 1, maxLength: 256 },
    type: { type: 'string', minLength: 1, maxLength: 128 },
    subject: { type: 'string', description: 'The tenant; absent: the caller’s.' },
    time: { type: 'string', format: 'date-time', description: 'Absent: now.' },
    data: {
      type: 'object',
      additionalProperties: true,
      description: 'units and cost count; user_id, plan and route have columns.',
    },
  },
  examples: [
    { specversion: '1.0', id: 'order-1', source: 'shop', type: 'tokens.used', data: { units: 120 } },
  ],
};

export const eventsBody = {
  content: {
    'application/cloudevents+json': { schema: cloudEvent },
    'application/cloudevents-batch+json': { schema: { type: 'array', items: cloudEvent, maxItems: 1000 } },
    'application/json': {
      schema: {
        type: 'object',
        additionalProperties: true,
        description: 'Data of one event; its attributes are ce- fields.',
      },
    },
  },
};

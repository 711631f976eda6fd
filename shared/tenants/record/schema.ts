import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import { idLengthMax } from '../../domain/identity.ts';
import { webAddressLengthMax, emailLengthMax } from '../../domain/notification-target.ts';
import { keyPermissions } from '../../domain/tenant.ts';
import type { LimitNotifications } from '../../domain/tenant.ts';
import { billingDayMax } from '../../domain/time/calendar-name.ts';
import { versionMax } from '../../domain/topics/tenant-record.ts';
import { actorSchema, amount, answerSchema, reasonSchema, timeSchema } from './basic-schemas.ts';
import { historySchema, noteSchema } from './history-schema.ts';

/**
 * The contract of a tenant's record. The admin API, the forms of the console, and all writers and readers of
 * `tollgate.tenants.v1` use it. `violations.ts` implements the formats.
 */
const timeOrNull = Type.Unsafe<string | null>({ ...timeSchema, type: ['string', 'null'] });
const webAddress = Type.String({ format: 'uri', minLength: 1, maxLength: webAddressLengthMax });

/** Pattern of the names of limits. A policy and a record both use it. */
export const limitNameSchema = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$',
  description: 'Name of a limit of the policy.',
});

/** Bounds of a record's lists: every gateway holds all records in memory. */
const boostsMax = 100;
const limitRequestsMax = 30;
export const apiKeysMax = 20;

export const boostSizes = {
  multiply: Type.Optional(
    Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000, description: 'Factor; or give set_to.' }),
  ),
  set_to: Type.Optional(
    Type.Number({ ...amount, description: 'Units in place of the limit; or give multiply.' }),
  ),
};

export const boostSchema = Type.Object(
  {
    id: Type.String({ minLength: 1, maxLength: 100 }),
    limit: limitNameSchema,
    ...boostSizes,
    starts_at: timeSchema,
    ends_at: timeSchema,
    reason: reasonSchema,
    actor: actorSchema,
  },
  { description: 'Raises one limit from its start to its end. Has either multiply or set_to.' },
);

export const blockSchema = Type.Object(
  { until: timeOrNull, reason: reasonSchema, actor: actorSchema },
  { description: 'Refuses every request. until: null holds until it is lifted.' },
);

const thresholds = Type.Array(Type.Number({ exclusiveMinimum: 0, maximum: 1 }), {
  maxItems: 10,
  description: 'Shares of a limit, 1 for all of it.',
});

const limitNotifications = Type.Object({
  thresholds: Type.Optional(thresholds),
  refusals: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000_000,
      description: 'Requests that the limit refuses within a minute from which to notify.',
    }),
  ),
});

export const notificationsSchema = Type.Object({
  thresholds: Type.Optional(thresholds),
  limits: Type.Optional(
    Type.Unsafe<Record<string, LimitNotifications>>({
      type: 'object',
      propertyNames: limitNameSchema,
      additionalProperties: limitNotifications,
      maxProperties: 50,
      description: 'Settings of single limits, by name.',
    }),
  ),
  webhooks: Type.Optional(
    Type.Array(
      Type.Object({
        url: webAddress,
        secrets: Type.Array(Type.String({ minLength: 8, maxLength: 200 }), { minItems: 1, maxItems: 2 }),
      }),
      { maxItems: 5 },
    ),
  ),
  slack: Type.Optional(Type.Array(webAddress, { maxItems: 5 })),
  emails: Type.Optional(
    Type.Array(Type.String({ format: 'email', maxLength: emailLengthMax }), { maxItems: 10 }),
  ),
});

const sha256 = Type.String({
  pattern: '^[0-9a-f]{64}$',
  description: 'Lower-case hexadecimal SHA-256 of the key.',
});

/** Names are not a closed set here: a reader of an earlier version must accept the record. Unknown names grant nothing. */
const scopeSchema = Type.Object(
  {
    permissions: Type.Array(Type.String({ pattern: '^[a-z_]{1,40}$' }), {
      minItems: 1,
      maxItems: 20,
      description: `${keyPermissions.join(', ')}. Other names grant nothing.`,
    }),
    routes: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 200 }), {
        minItems: 1,
        maxItems: 10,
        description: 'The only requests of the permission requests, as patterns of the policy; absent: all.',
      }),
    ),
  },
  { description: 'What the key may do; absent: everything.' },
);

export const apiKeySchema = Type.Object({
  sha256,
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'What the key is for.' })),
  created_at: Type.Optional(timeSchema),
  expires_at: Type.Optional({
    ...timeSchema,
    description: 'From this time on the key is refused; absent: never.',
  }),
  scope: Type.Optional(scopeSchema),
  rolled_to: Type.Optional({ ...sha256, description: 'SHA-256 of the key that replaced this one.' }),
});

const overrides = Type.Unsafe<Record<string, number>>({
  type: 'object',
  propertyNames: limitNameSchema,
  additionalProperties: amount,
  maxProperties: 100,
  description: 'Limits of its own, by name.',
});

/** Fields that a client may set. */
export const settings = {
  plan: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
  display_name: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  overrides: Type.Optional(overrides),
  boosts: Type.Optional(Type.Array(boostSchema, { maxItems: boostsMax })),
  block: Type.Optional(blockSchema),
  api_keys_sha256: Type.Optional(
    Type.Array(sha256, { maxItems: apiKeysMax, description: 'API keys without a name and an end.' }),
  ),
  api_keys: Type.Optional(Type.Array(apiKeySchema, { maxItems: apiKeysMax })),
  notifications: Type.Optional(notificationsSchema),
  group: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$',
      description: 'Group of tenants whose shared limits apply too.',
    }),
  ),
  time_zone: Type.Optional(
    Type.String({ format: 'time-zone', maxLength: 64, description: 'IANA zone of calendar quotas.' }),
  ),
  billing_day: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: billingDayMax,
      description:
        'Day on which monthly quotas begin. A month without this day begins on its last day. Absent: 1, or the day in the policy.',
    }),
  ),
};

export const limitRequestSchema = Type.Object(
  {
    id: Type.String({ minLength: 1, maxLength: 100 }),
    limit: limitNameSchema,
    current: Type.Optional(
      Type.Number({ ...amount, description: 'Value of the limit at the time of the request.' }),
    ),
    wanted: Type.Number({ ...amount, description: 'Requested value.' }),
    for_seconds: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1e9, description: 'Requested duration; absent: without an end.' }),
    ),
    reason: { ...reasonSchema, description: 'Reason of the tenant.' },
    created_at: timeSchema,
    state: Type.Union(['open', 'approved', 'declined', 'withdrawn'].map((state) => Type.Literal(state))),
    closed_at: Type.Optional(timeSchema),
    closed_by: Type.Optional(actorSchema),
    answer: Type.Optional(answerSchema),
    granted: Type.Optional(Type.Number({ ...amount, description: 'Value that an operator granted.' })),
    ends_at: Type.Optional({
      ...timeSchema,
      description: 'End of what was granted; absent: without an end.',
    }),
    boost_id: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
  },
  {
    description: 'Request of the tenant for a higher limit. Values are in the unit of what the limit counts.',
  },
);

export const resetSchema = Type.Object({
  at_ms: Type.Number({ ...amount, description: 'Unix milliseconds.' }),
  actor: actorSchema,
  day_units: amount,
  month_units: amount,
});

const tenantId = Type.String({ minLength: 1, maxLength: idLengthMax });

/** Unknown fields are kept but not used, so that an older node does not remove fields that a newer node wrote. */
export const tenantRecordSchema = Type.Object({
  tenant_id: tenantId,
  ...settings,
  limit_requests: Type.Optional(Type.Array(limitRequestSchema, { maxItems: limitRequestsMax })),
  internal_note: Type.Optional(noteSchema),
  reset: Type.Optional(resetSchema),
  history: Type.Optional(historySchema),
  version: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: versionMax,
      description: 'Of two records the one with the higher version stands.',
    }),
  ),
  updated_at: timeSchema,
  updated_by: actorSchema,
});

/** Names of the fields that a client may set. */
export const settingNames = Object.keys(settings) as readonly (keyof typeof settings)[];

/** The schema for input of clients: no object may have further fields, so an unknown name is a violation. */
export function closed<Schema extends TSchema>(schema: Schema): Schema {
  return closedValue(schema) as Schema;
}

/** Schema of a merge patch: every field is optional, and null removes a field. */
export function patchOf(schema: object): object {
  const { type, properties } = schema as {
    readonly type?: string;
    readonly properties?: Readonly<Record<string, object>>;
  };
  if (type !== 'object' || properties === undefined) return schema;
  const patches = Object.entries(properties).map(([name, inner]): [string, object] => [
    name,
    { anyOf: [patchOf(inner), { type: 'null' }] },
  ]);
  return { type, properties: Object.fromEntries(patches), additionalProperties: false };
}

function closedValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closedValue);
  if (typeof value !== 'object' || value === null) return value;
  const inner = Object.fromEntries(Object.entries(value).map(([name, part]) => [name, closedValue(part)]));
  return inner['type'] === 'object' && inner['properties'] !== undefined
    ? { ...inner, additionalProperties: false }
    : inner;
}

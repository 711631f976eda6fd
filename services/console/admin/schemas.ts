import { Type } from 'typebox';
import { idLengthMax } from '../../../shared/domain/identity.ts';

const time = Type.String({ format: 'date-time', description: 'ISO 8601' });
const reason = Type.String({ minLength: 1, maxLength: 500, description: 'Why; kept in the history.' });
const limitName = Type.String({ minLength: 1, maxLength: 100 });
const webAddress = Type.String({ minLength: 1, maxLength: 2000 });

export const TenantParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: idLengthMax }) });

export const ListQuery = Type.Object({
  search: Type.Optional(Type.String({ maxLength: 256, description: 'Part of the id or the name.' })),
  plan: Type.Optional(Type.String({ maxLength: 100 })),
  offset: Type.Integer({ minimum: 0, default: 0 }),
  limit: Type.Integer({ minimum: 1, maximum: 500, default: 50 }),
});

export const NotificationsSchema = Type.Object(
  {
    thresholds: Type.Optional(Type.Array(Type.Number(), { maxItems: 10 })),
    webhooks: Type.Optional(
      Type.Array(
        Type.Object(
          {
            url: webAddress,
            secrets: Type.Array(Type.String({ minLength: 8, maxLength: 200 }), { minItems: 1, maxItems: 2 }),
          },
          { additionalProperties: false },
        ),
        { maxItems: 5 },
      ),
    ),
    slack: Type.Optional(Type.Array(webAddress, { maxItems: 5 })),
    emails: Type.Optional(Type.Array(Type.String({ maxLength: 254 }), { maxItems: 10 })),
  },
  { additionalProperties: false },
);

const BoostSchema = Type.Object(
  {
    id: Type.String({ minLength: 1, maxLength: 100 }),
    limit: limitName,
    multiply: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 })),
    set_to: Type.Optional(Type.Number({ minimum: 0 })),
    starts_at: time,
    ends_at: time,
    reason,
    actor: Type.String({ minLength: 1, maxLength: 200 }),
  },
  { additionalProperties: false },
);

/**
 * Body of PUT: a record as GET answers it. `reset`, `history` and `updated_*` are the server's own and are passed
 * over; `boosts`, `block` and `api_keys_sha256`, which have endpoints of their own, stay as they are when absent.
 */
export const TenantBody = Type.Object(
  {
    tenant_id: Type.Optional(Type.String({ maxLength: idLengthMax })),
    plan: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
    display_name: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    overrides: Type.Optional(Type.Record(Type.String(), Type.Number({ minimum: 0 }))),
    boosts: Type.Optional(Type.Array(BoostSchema, { maxItems: 100 })),
    block: Type.Optional(
      Type.Object(
        { until: Type.Union([time, Type.Null()]), reason, actor: Type.String({ maxLength: 200 }) },
        { additionalProperties: false },
      ),
    ),
    api_keys_sha256: Type.Optional(Type.Array(Type.String({ pattern: '^[0-9a-f]{64}$' }), { maxItems: 20 })),
    notifications: Type.Optional(NotificationsSchema),
    time_zone: Type.Optional(Type.String({ maxLength: 64 })),
    reset: Type.Optional(Type.Unknown()),
    history: Type.Optional(Type.Unknown()),
    updated_at: Type.Optional(Type.Unknown()),
    updated_by: Type.Optional(Type.Unknown()),
  },
  { additionalProperties: false },
);

export const BlockBody = Type.Object(
  { until: Type.Optional(Type.Union([time, Type.Null()])), reason },
  { additionalProperties: false },
);

export const BoostBody = Type.Object(
  {
    limit: limitName,
    multiply: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 })),
    set_to: Type.Optional(Type.Number({ minimum: 0 })),
    starts_at: Type.Optional(time),
    ends_at: time,
    reason,
    actor: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  },
  { additionalProperties: false },
);

export const ResetAllBody = Type.Object(
  {
    confirm: Type.Literal('reset all tenants', {
      description: 'The words “reset all tenants”: nothing else starts it.',
    }),
  },
  { additionalProperties: false },
);

export const PortalLinkBody = Type.Object(
  {
    tenant_id: Type.String({ minLength: 1, maxLength: idLengthMax }),
    ttl: Type.Optional(
      Type.String({
        pattern: '^[1-9][0-9]{0,5}[smhd]$',
        description: 'E.g. 15m, 24h; default 1h, at most 30d.',
      }),
    ),
  },
  { additionalProperties: false },
);

export const AuditQuery = Type.Object({
  tenant_id: Type.Optional(Type.String({ maxLength: idLengthMax })),
  actor: Type.Optional(Type.String({ maxLength: 200 })),
  limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
});

export const ReasonBody = Type.Object(
  { reason: Type.Optional(Type.String({ maxLength: 500, description: 'Why; kept in the history.' })) },
  { additionalProperties: false },
);

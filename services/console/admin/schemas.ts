import { Type } from 'typebox';
import { idLengthMax } from '../../../shared/domain/identity.ts';
import {
  apiKeySchema,
  blockSchema,
  boostSchema,
  boostSizes,
  closed,
  limitNameSchema,
  reasonSchema,
  settings,
  timeSchema,
} from '../../../shared/tenants/record-schema.ts';

export const TenantParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: idLengthMax }) });

export const ListQuery = Type.Object({
  search: Type.Optional(Type.String({ maxLength: 256, description: 'Part of the id or the name.' })),
  plan: Type.Optional(Type.String({ maxLength: 100 })),
  offset: Type.Integer({ minimum: 0, default: 0 }),
  limit: Type.Integer({ minimum: 1, maximum: 500, default: 50 }),
});

/** Body of PUT: a record as GET answers it, whose `reset`, `history`, `version` and `updated_*` are passed over. */
export const TenantBody = closed(
  Type.Object({
    tenant_id: Type.Optional(Type.String({ description: 'As in the path.' })),
    ...settings,
    reset: Type.Optional(Type.Unknown({ description: 'Passed over.' })),
    history: Type.Optional(Type.Unknown({ description: 'Passed over.' })),
    version: Type.Optional(Type.Unknown({ description: 'Passed over.' })),
    updated_at: Type.Optional(Type.Unknown({ description: 'Passed over.' })),
    updated_by: Type.Optional(Type.Unknown({ description: 'Passed over.' })),
  }),
);

/** Body of PATCH. It is the merged record that has to hold to the contract, so nothing more is asked of a patch. */
export const TenantPatch = Type.Unsafe<object>({
  type: 'object',
  description: 'Members of a tenant’s settings; null removes one.',
});

export const BlockBody = Type.Object(
  { until: Type.Optional(blockSchema.properties.until), reason: reasonSchema },
  { additionalProperties: false },
);

export const BoostBody = Type.Object(
  {
    limit: limitNameSchema,
    ...boostSizes,
    starts_at: Type.Optional(timeSchema),
    ends_at: timeSchema,
    reason: reasonSchema,
    actor: Type.Optional(boostSchema.properties.actor),
  },
  { additionalProperties: false },
);

export const ApiKeyBody = Type.Object(
  { name: apiKeySchema.properties.name, expires_at: apiKeySchema.properties.expires_at },
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
        description: 'How long the link opens, e.g. 15m, 24h; default 1h, at most 30d.',
      }),
    ),
    session_ttl: Type.Optional(
      Type.String({
        pattern: '^[1-9][0-9]{0,5}[smhd]$',
        description:
          'How long a session lasts that it opens, never longer than the link; default 1h, at most 8h.',
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

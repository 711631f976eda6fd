import { Type } from 'typebox';
import { idLengthMax } from '../../shared/domain/identity.ts';
import { shiftPattern, spanPattern } from '../../shared/domain/time/duration.ts';
import { internalNoteSchema, reasonSchema, timeSchema } from '../../shared/tenants/record/basic-schemas.ts';
import {
  apiKeySchema,
  blockSchema,
  boostSchema,
  boostSizes,
  closed,
  limitNameSchema,
  patchOf,
  settings,
} from '../../shared/tenants/record/schema.ts';
import { tenantOrders, tenantStates } from '../../shared/tenants/list/select.ts';
import type { TenantOrder, TenantState } from '../../shared/tenants/list/select.ts';

export const TenantParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: idLengthMax }) });

export const ListQuery = Type.Object({
  search: Type.Optional(Type.String({ maxLength: 256, description: 'Part of the id or the name.' })),
  plan: Type.Optional(Type.String({ maxLength: 100, description: 'A plan that does not exist is refused.' })),
  group: Type.Optional(Type.String({ maxLength: 64 })),
  state: Type.Optional(
    Type.Unsafe<TenantState>({
      type: 'string',
      enum: tenantStates,
      description: 'Blocked, with a boost in force, with a record, or without one.',
    }),
  ),
  sort: Type.Optional(
    Type.Unsafe<TenantOrder>({
      type: 'string',
      enum: tenantOrders,
      description:
        'Default requests (of today). share: the highest used share of a limit, read from Redis. growth: requests of ' +
        'the last seven full days against the seven days before. cost and margin: this month.',
    }),
  ),
  order: Type.Optional(
    Type.Unsafe<'asc' | 'desc'>({ type: 'string', enum: ['asc', 'desc'], description: 'Default desc.' }),
  ),
  offset: Type.Optional(Type.Integer({ minimum: 0, description: 'Default 0.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, description: 'Default 50.' })),
});

/**
 * Body of PUT: a record in the form in which GET returns it. The fields `limit_requests`, `internal_note`, `reset`,
 * `history`, `version` and `updated_*` are ignored.
 */
export const TenantBody = closed(
  Type.Object(
    {
      tenant_id: Type.Optional(Type.String({ description: 'Must equal the id of the path.' })),
      ...settings,
      limit_requests: Type.Optional(Type.Unknown({ description: 'Ignored.' })),
      internal_note: Type.Optional(Type.Unknown({ description: 'Ignored.' })),
      reset: Type.Optional(Type.Unknown({ description: 'Ignored.' })),
      history: Type.Optional(Type.Unknown({ description: 'Ignored.' })),
      version: Type.Optional(Type.Unknown({ description: 'Ignored.' })),
      updated_at: Type.Optional(Type.Unknown({ description: 'Ignored.' })),
      updated_by: Type.Optional(Type.Unknown({ description: 'Ignored.' })),
    },
    { examples: [{ plan: 'pro', display_name: 'Acme', overrides: { minute: 500 } }] },
  ),
);

/** Body of PATCH: any object. Only the record that results from the merge is checked against the contract. */
export const TenantPatch = Type.Unsafe<object>({ type: 'object' });

export const BlockBody = Type.Object(
  {
    until: Type.Optional(blockSchema.properties.until),
    reason: reasonSchema,
    internal_note: Type.Optional(internalNoteSchema),
  },
  {
    additionalProperties: false,
    examples: [
      { until: '2099-01-31T12:00:00Z', reason: 'Unpaid invoice', internal_note: 'ticket 812, see billing' },
    ],
  },
);

export const BoostBody = Type.Object(
  {
    limit: limitNameSchema,
    ...boostSizes,
    starts_at: Type.Optional(timeSchema),
    ends_at: timeSchema,
    reason: reasonSchema,
    internal_note: Type.Optional(internalNoteSchema),
    actor: Type.Optional(boostSchema.properties.actor),
  },
  {
    additionalProperties: false,
    examples: [{ limit: 'minute', multiply: 2, ends_at: '2099-01-31T12:00:00Z', reason: 'launch week' }],
  },
);

export const ApiKeyBody = closed(
  Type.Object(
    {
      name: apiKeySchema.properties.name,
      expires_at: apiKeySchema.properties.expires_at,
      scope: apiKeySchema.properties.scope,
    },
    {
      examples: [
        { name: 'build server', expires_at: '2099-01-31T12:00:00Z' },
        { name: 'reports', scope: { permissions: ['requests', 'usage'], routes: ['GET /v1/**'] } },
      ],
    },
  ),
);

export const RollBody = Type.Object(
  {
    overlap: Type.String({
      pattern: `^0s$|${spanPattern}`,
      description: 'How long the old key stays valid, e.g. 24h; 0s ends it at once. At most 30d.',
    }),
  },
  { additionalProperties: false, examples: [{ overlap: '24h' }] },
);

export const ResetAllBody = Type.Object(
  {
    confirm: Type.Literal('reset all tenants', {
      description: 'The words “reset all tenants”: no other value starts the reset.',
    }),
  },
  { additionalProperties: false, examples: [{ confirm: 'reset all tenants' }] },
);

export const PortalLinkBody = Type.Object(
  {
    tenant_id: Type.String({ minLength: 1, maxLength: idLengthMax }),
    ttl: Type.Optional(
      Type.String({
        pattern: spanPattern,
        description: 'How long the link opens the portal, e.g. 15m, 24h; default 1h, at most 30d.',
      }),
    ),
    session_ttl: Type.Optional(
      Type.String({
        pattern: spanPattern,
        description:
          'Duration of a session that the link opens, never longer than the link; default 1h, at most 8h.',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ tenant_id: 'acme', ttl: '24h' }] },
);

export const AuditQuery = Type.Object({
  tenant_id: Type.Optional(Type.String({ maxLength: idLengthMax })),
  actor: Type.Optional(Type.String({ maxLength: 200 })),
  action: Type.Optional(Type.String({ maxLength: 50, examples: ['block'] })),
  search: Type.Optional(
    Type.String({ maxLength: 200, description: 'Part of the tenant, actor, action, text or reason.' }),
  ),
  since: Type.Optional(Type.String({ maxLength: 40, description: 'RFC 3339 time of the first entry.' })),
  until: Type.Optional(Type.String({ maxLength: 40, description: 'RFC 3339 time after the last entry.' })),
  cursor: Type.Optional(
    Type.String({
      maxLength: 100,
      pattern: '^[0-9]{1,13}\\.[\\w-]{1,64}$',
      description: '`next_cursor` of the answer before: continues the list.',
    }),
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Default 100.' })),
});

export const ReasonBody = Type.Object(
  { reason: Type.Optional(Type.String({ maxLength: 500, description: 'Reason; kept in the history.' })) },
  { additionalProperties: false, examples: [{ reason: 'double charge, ticket 812' }] },
);

export const ReservationsQuery = Type.Object({
  tenant_id: Type.Optional(Type.String({ minLength: 1, maxLength: idLengthMax })),
  expired: Type.Optional(Type.Boolean({ description: 'True: only reservations whose end has passed.' })),
  hours: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 24 * 31, description: 'Hours before now of the calls. Default 48.' }),
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Default 100.' })),
});

export const LossQuery = Type.Object({
  hours: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 24 * 31,
      description: 'Hours before now that the audit covers. Default 24.',
    }),
  ),
});

export const LetterParams = Type.Object({ letterId: Type.String({ pattern: '^[0-9]{1,9}-[0-9]{1,15}$' }) });

export const LettersQuery = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Default 50.' })),
});

export const ReplayBody = Type.Object(
  {
    reason: Type.Optional(Type.String({ minLength: 1, description: 'Text that the reason contains.' })),
    tenant_id: Type.Optional(Type.String({ minLength: 1 })),
    since: Type.Optional(Type.String({ description: 'RFC 3339: letters written at or after this time.' })),
    shift: Type.Optional(
      Type.String({
        pattern: shiftPattern,
        description: 'Added to the time of each event, e.g. +15m: for events of a node with a wrong clock.',
      }),
    ),
    dry_run: Type.Optional(Type.Boolean({ description: 'Count only; the default.' })),
  },
  // At least one selection is required, so that no request replays all dead letters of 90 days by mistake.
  {
    additionalProperties: false,
    anyOf: ['reason', 'tenant_id', 'since'].map((name) => ({ required: [name] })),
  },
);

export const LinkParams = Type.Object({
  id: Type.String({ minLength: 1, maxLength: idLengthMax }),
  linkId: Type.String({
    pattern: '^[0-9a-f-]{36}$',
    description: '`link_id` of the answer that issued the link.',
  }),
});

/** Headers of responses with a record. */
export const entityTag = {
  ETag: { description: 'Tag of the record, for If-Match.', schema: { type: 'string' } },
};
/** Headers of requests that replace a record or change it. */
export const ifMatch = {
  'If-Match': {
    description: 'Tags of the record that the change is meant for, or *; else 412.',
    schema: { type: 'string' },
  },
};
/** Headers of requests that change something. */
export const actor = {
  'X-Actor': {
    description:
      'Actor for the audit trail, up to 100 printable ASCII characters. Read from holders of the shared admin token only.',
    schema: { type: 'string' },
  },
};

/** Schema of a merge patch of a record, for the document. */
export const patchSchema = {
  ...patchOf(Type.Object(settings)),
  description: 'Settings to change; null removes one.',
  examples: [{ plan: 'pro', display_name: null, overrides: { minute: 500 } }],
};

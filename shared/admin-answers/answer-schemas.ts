import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import {
  apiKeySchema,
  blockSchema,
  boostSchema,
  resetSchema,
  tenantRecordSchema,
} from '../tenants/record/schema.ts';
import { answer, count, numberOrNull, text, textOrNull, time, timeOrNull } from './schema-parts.ts';

/**
 * Schemas of the response bodies of the admin API, for the OpenAPI document and for the types of the CLI. Handlers do not use them: a
 * test compares responses with them.
 */
const orNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()]);

export const recordAnswer = tenantRecordSchema;

export const tenantsAnswer = answer({
  tenants: Type.Array(
    answer({
      tenant_id: text,
      display_name: textOrNull,
      plan: text,
      group: textOrNull,
      has_record: Type.Boolean({ description: 'False for tenants that only appear in recorded requests.' }),
      blocked: Type.Boolean(),
      boosts: count,
      requests_today: Type.Unsafe<number | null>({
        ...numberOrNull,
        description: 'Null when ClickHouse did not answer.',
      }),
      limited_today: numberOrNull,
      cost_today: numberOrNull,
      requests_week: Type.Unsafe<number | null>({
        ...numberOrNull,
        description: 'Requests of the seven full days (UTC) before today.',
      }),
      requests_week_before: numberOrNull,
      limited_week: numberOrNull,
      growth: Type.Unsafe<number | null>({
        ...numberOrNull,
        description: 'Change from the week before, 0.5 for half as many more; null without a week before.',
      }),
      cost_month: numberOrNull,
      margin: Type.Unsafe<number | null>({
        ...numberOrNull,
        description: 'Price of the plan minus the projected cost of this month; null without a price.',
      }),
      updated_at: timeOrNull,
      fullest_limit: Type.Optional(
        answer(
          { name: text, used: Type.Number(), limit: Type.Number(), share: Type.Number() },
          'Limit with the highest used share; only if the list is sorted by it.',
        ),
      ),
    }),
  ),
  total: count,
  offset: count,
  limit: count,
  usage_known: Type.Boolean({
    description:
      'False when ClickHouse did not answer: the list then lacks usage, and tenants without a record.',
  }),
});

const heldLimit = answer({
  name: text,
  per: Type.Array(text),
  route: textOrNull,
  type: text,
  limit: Type.Number(),
  window_seconds: Type.Number({
    description: '0 for a limit of requests at once, whose type is `concurrent`.',
  }),
  burst: Type.Number(),
  mode: text,
  of_policy: Type.Unsafe<number | null>({ ...numberOrNull, description: 'Value that the policy alone has.' }),
  override: numberOrNull,
  boost_id: textOrNull,
});

export const tenantAnswer = answer({
  tenant_id: text,
  record: orNull(recordAnswer),
  seen_plan: Type.Unsafe<string | null>({ ...textOrNull, description: 'Plan of its last request.' }),
  plan: text,
  limits: Type.Array(heldLimit),
});

const liveLimit = answer({
  name: text,
  route: textOrNull,
  limit: Type.Number(),
  used: Type.Number(),
  remaining: Type.Number(),
  reset: Type.Integer({ description: 'Unix seconds.' }),
  window_seconds: Type.Number(),
  burst: Type.Number(),
  blocked: Type.Boolean(),
  retry_after_seconds: numberOrNull,
  mode: text,
});

export const statusAnswer = answer({
  tenant_id: text,
  requests_this_minute: Type.Number(),
  requests_today: Type.Number(),
  plan: text,
  limits: Type.Array(liveLimit),
  blocked: Type.Boolean(),
  blocked_until: timeOrNull,
  blocked_by: Type.Array(Type.String({ description: 'operator, or names of limits.' })),
  resets: Type.Record(Type.String(), time, {
    description: 'By limit: when the complete limit is available again.',
  }),
  boosts: Type.Array(boostSchema),
  complete_through: timeOrNull,
  as_of: time,
});

export const resetAnswer = answer({ tenant_id: text, reset: resetSchema });
export const resetAllAnswer = answer({
  tenants: Type.Integer({ description: 'Tenants with usage this month.' }),
});
export const blockAnswer = answer({ tenant_id: text, block: blockSchema });

export const boostAnswer = boostSchema;
const phase = Type.String({ description: 'planned, running or ended' });
export const boostsAnswer = answer({
  boosts: Type.Array(answer({ ...boostSchema.properties, phase })),
});

const expired = Type.Boolean();
export const keysAnswer = answer({
  api_keys: Type.Array(
    answer({
      ...apiKeySchema.properties,
      expired,
      last_used_at: Type.Unsafe<string | null>({
        ...timeOrNull,
        description: 'Latest recorded request with the key; null: none, or not known.',
      }),
    }),
  ),
  last_use_known: Type.Boolean({ description: 'False when ClickHouse did not answer.' }),
});
export const newKeyAnswer = answer({
  api_key: Type.String({ description: 'The key. Only its hash is kept.' }),
  ...apiKeySchema.properties,
});

export const rolledKeyAnswer = answer({
  api_key: Type.String({ description: 'The successor. Only its hash is kept.' }),
  ...apiKeySchema.properties,
  replaced: answer(apiKeySchema.properties, 'The old key, with its end.'),
});

export const linkAnswer = answer({
  tenant_id: text,
  link_id: Type.String({ description: 'Ends the link before its time.' }),
  url: text,
  expires_at: time,
  session_ttl_seconds: Type.Number(),
});

const changedFields = Type.Record(Type.String(), Type.Unknown(), {
  description: 'The changed fields; secrets are replaced by a fingerprint.',
});
export const changesAnswer = answer({
  changes: Type.Array(
    answer({
      id: text,
      tenant_id: Type.String({ description: 'Empty: the action concerns no single tenant.' }),
      ...{ at: time, actor: text, action: text, detail: text },
      source: Type.String({ description: '`console`, `portal`, `admin-api` or `cli`; empty: unknown.' }),
      reason: text,
      before: Type.Optional(changedFields),
      after: Type.Optional(changedFields),
      facts: Type.Optional(
        Type.Record(Type.String(), Type.String(), {
          description:
            'Such as `internal_note`, a note for operators, and `undo_of`, the change that was undone.',
        }),
      ),
    }),
  ),
  next_cursor: Type.Unsafe<string | null>({
    type: ['string', 'null'],
    description: 'null: the list ends here.',
  }),
  complete: Type.Boolean({
    description: 'False: ClickHouse did not answer; only the latest changes of tenants are listed.',
  }),
});

export const letterAnswer = answer({
  id: Type.String({ description: 'Partition and offset on the dead-letter topic.' }),
  at: time,
  reason: text,
  from: text,
  text: Type.String({ description: 'The original value, cut where it is long.' }),
  bytes: count,
});
export const lettersAnswer = answer({ dead_letters: Type.Array(letterAnswer) });
export const replayAnswer = answer({ id: text, replayed: Type.Boolean() });

export const replaysAnswer = answer({
  dry_run: Type.Boolean(),
  matched: count,
  sent: count,
  incomplete: Type.Integer({
    minimum: 0,
    description:
      'Letters that hold only the beginning of their record, or name a topic that is not Tollgate’s.',
  }),
  without_time: count,
  more: Type.Boolean({ description: 'There are more letters than one call reads.' }),
  by_reason: Type.Record(Type.String(), count),
});

export const reservationsAnswer = answer({
  reservations: Type.Array(
    answer({
      reservation_id: text,
      event_id: text,
      tenant_id: text,
      user_id: text,
      route: text,
      model: text,
      entrypoint: text,
      node: text,
      time,
      expires_at: time,
      expired: Type.Boolean(),
      reserved: Type.Record(Type.String(), Type.Number(), {
        description: 'Reserved amounts by quantity, in its own unit.',
      }),
    }),
  ),
  more: Type.Boolean({ description: 'There are more reservations than `limit`.' }),
  complete_through: timeOrNull,
});

const range = answer({ from: Type.Integer(), to: Type.Integer() });
const level = answer({
  day: text,
  events: Type.Number(),
  by_minute: Type.Number(),
  by_hour: Type.Number(),
  by_day: Type.Number(),
});
export const lossAnswer = answer({
  lost: count,
  lostRecords: Type.Array(
    answer({ partition: count, offset: count, tenant_id: textOrNull, event_id: textOrNull }),
  ),
  missingSequences: Type.Record(Type.String(), Type.Array(range)),
  setBack: Type.Array(text),
  counters: orNull(
    Type.Array(
      answer({
        tenant_id: text,
        quota: text,
        route: textOrNull,
        redis: Type.Number(),
        clickhouse: Type.Number(),
      }),
    ),
  ),
  disagreements: Type.Array(level),
  explained: answer({ deadLetters: count, repeats: count, corrections: count }),
  events: Type.Number(),
  since: time,
  until: time,
  cut: Type.Boolean({ description: 'The report is cut: at least `lost` events are lost.' }),
});

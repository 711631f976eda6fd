import { Type } from 'typebox';
import { idLengthMax } from '../../../shared/domain/identity.ts';
import type { Operations } from '../answer.ts';
import { TenantParams } from '../request-schemas.ts';
import { answer, count, numberOrNull, text, textOrNull, time, timeOrNull } from '../schema-parts.ts';

const EventsQuery = Type.Object({
  tenant_id: Type.Optional(Type.String({ minLength: 1, maxLength: idLengthMax })),
  over_limit: Type.Optional(
    Type.Boolean({ description: 'True: only requests over a limit, refused or served in shadow mode.' }),
  ),
  seconds: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 86_400, description: 'Seconds before now. Default 600.' }),
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Default 50.' })),
});

const DecisionParams = Type.Object({ decisionId: Type.String({ minLength: 1, maxLength: 64 }) });

const event = answer(
  {
    ...{ event_id: text, time, tenant_id: text, user_id: text, plan: text, type: text },
    ...{ entrypoint: text, node: text, method: text, route: text, path: text, client_ip: text },
    api_key: Type.String({
      description: 'First 12 hexadecimal digits of the SHA-256 of the key; empty: none.',
    }),
    policy_revision: Type.String({
      description: 'Revision of the policy that decided; empty: not recorded.',
    }),
    ...{ service: text, status: Type.Integer(), decision: text, limited_by: Type.Array(text) },
    ...{ units: numberOrNull, cost: Type.Number(), latency_ms: Type.Number(), degraded: Type.Boolean() },
  },
  'A recorded event.',
);

const counter = answer({
  name: text,
  route: textOrNull,
  limit: Type.Number(),
  window: Type.String({
    description: 'Length of the window, the calendar period of a quota, or `at the same time`.',
  }),
  used: Type.Unsafe<number | null>({
    ...numberOrNull,
    description:
      'Units in the window before the decision; null: the recorded requests do not contain what the limit counts.',
  }),
  requests: Type.Unsafe<number | null>({ ...numberOrNull, description: 'Requests that used them.' }),
  complete_from: Type.Unsafe<string | null>({
    ...timeOrNull,
    description:
      'Time from which the counter is complete, if it is within the window: it is counted from single events, and older ones are deleted. Null: the window is complete.',
  }),
  passes_at: Type.Unsafe<string | null>({
    ...timeOrNull,
    description: 'When the request would have passed; null: unknown, or at the end of the period.',
  }),
});

const sums = { requests: count, limited: count, units: numberOrNull, cost: Type.Number() };
const period = answer({ starts_at: time, ...sums, allowed: count, errors: count });

/** Operations that read recorded usage. */
export const recordedOperations = {
  events: {
    operationId: 'listEvents',
    role: 'viewer',
    tags: ['Usage'],
    summary: 'List the latest recorded events',
    description: 'Newest first. An event can be read within seconds after its request.',
    querystring: EventsQuery,
    response: {
      200: answer({
        events: Type.Array(event),
        more: Type.Boolean({ description: 'There are more events than `limit`.' }),
      }) as object,
    },
  },
  decision: {
    operationId: 'explainDecision',
    role: 'viewer',
    tags: ['Usage'],
    summary: 'Explain a decision',
    description:
      'The recorded request, the rule that refused it, what the counters held then, and when it would have passed.',
    params: DecisionParams,
    response: {
      200: answer({
        event,
        reason: Type.Unsafe<string | null>({ ...textOrNull, description: 'Null: the request passed.' }),
        advice: textOrNull,
        latest_pass_at: timeOrNull,
        counters: Type.Array(counter),
      }) as object,
    },
  },
  usage: {
    operationId: 'getTenantUsage',
    role: 'viewer',
    tags: ['Usage'],
    summary: 'Get the recorded usage of a tenant: today, this month, and the last 30 days',
    description: 'Day and month are those of the tenant’s calendar; the days of the list are those of UTC.',
    params: TenantParams,
    response: {
      200: answer({
        tenant_id: text,
        time_zone: text,
        day: period,
        month: period,
        days: Type.Array(answer({ day: time, ...sums })),
        complete_through: timeOrNull,
      }) as object,
    },
  },
} satisfies Operations;

import { Type } from 'typebox';
import type { Static } from 'typebox';
import { answer, count, numberOrNull, text, textOrNull, time, timeOrNull } from './schema-parts.ts';

/** Response bodies of the operations that read recorded usage. */
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

export const eventsAnswer = answer({
  events: Type.Array(event),
  more: Type.Boolean({ description: 'There are more events than `limit`.' }),
});

export const decisionAnswer = answer({
  event,
  reason: Type.Unsafe<string | null>({ ...textOrNull, description: 'Null: the request passed.' }),
  advice: textOrNull,
  latest_pass_at: timeOrNull,
  counters: Type.Array(counter),
});

export const usageAnswer = answer({
  tenant_id: text,
  time_zone: text,
  day: period,
  month: period,
  days: Type.Array(answer({ day: time, ...sums })),
  complete_through: timeOrNull,
});

export type EventsAnswer = Static<typeof eventsAnswer>;
export type DecisionAnswer = Static<typeof decisionAnswer>;
export type UsageAnswer = Static<typeof usageAnswer>;

import { Type } from 'typebox';
import type { Static } from 'typebox';
import { answer, count, numberOrNull, text, textOrNull, time, timeOrNull } from './schema-parts.ts';

/** Response bodies of the operations on the policy. */
const number = Type.Number();

const outcomeCounts = answer({ allowed: count, limited: count, bypassed: count, shadow_limited: count });
const groupEffect = answer({
  ...{ name: text, requests: count, refused: count, refused_proposed: count },
  ...{ newly_refused: count, newly_allowed: count, cost: number, cost_proposed: number },
});
const groups = Type.Array(groupEffect);

const backtestResult = answer({
  from: time,
  to: time,
  tenant_id: textOrNull,
  policy_revision: text,
  revision_in_force: text,
  requests: count,
  recorded: outcomeCounts,
  proposed: outcomeCounts,
  newly_refused: count,
  newly_allowed: count,
  tenants: answer({ total: count, with_newly_refused: count, with_newly_allowed: count }),
  by_limit: Type.Array(
    answer({
      ...{ limit: text, refused: count, refused_proposed: count, newly_refused: count },
      ...{ shadow: count, shadow_proposed: count },
    }),
  ),
  by_tenant: groups,
  by_route: groups,
  by_plan: groups,
  money: answer({
    currency: textOrNull,
    cost: number,
    cost_proposed: number,
    plans: Type.Array(
      answer({ plan: text, tenants: count, price: numberOrNull, price_proposed: numberOrNull }),
    ),
    monthly_revenue: number,
    monthly_revenue_proposed: number,
  }),
  quantities: Type.Array(answer({ quantity: text, used: number, used_proposed: number })),
  agreement: answer({ compared: count, agreed: count, share: numberOrNull }),
  assumptions: Type.Array(
    Type.Object(
      { code: text, detail: text, requests: Type.Optional(count) },
      { additionalProperties: false },
    ),
  ),
  read: answer({ events: count, warm_up_events: count, warm_up_groups: count, seconds: number }),
});

export const backtestAnswer = answer({
  state: Type.Union([
    Type.Literal('running'),
    Type.Literal('finished'),
    Type.Literal('failed'),
    Type.Literal('cancelled'),
  ]),
  started_by: text,
  started_at: time,
  from: time,
  to: time,
  tenant_id: textOrNull,
  policy_revision: text,
  events: count,
  total: count,
  error: textOrNull,
  result: Type.Union([backtestResult, Type.Null()]),
});

const shadowLimit = answer({
  limit_name: text,
  since: Type.Unsafe<string | null>({
    ...timeOrNull,
    description:
      'Time since which the limit has been in shadow mode; null: the history has no revision with it.',
  }),
  since_is_start: Type.Boolean({
    description: 'False: the limit may have been in shadow mode before `since`.',
  }),
  requests: Type.Unsafe<number>({ ...count, description: 'Requests that it would have refused.' }),
  tenants: Type.Unsafe<number>({ ...count, description: 'Tenants with such requests.' }),
  by_day: Type.Array(answer({ day: Type.String({ format: 'date' }), requests: count })),
  by_tenant: Type.Array(answer({ tenant_id: text, requests: count, decision_id: text }), {
    description: 'The ten tenants with the most requests, each with its latest decision.',
  }),
});

export const shadowAnswer = answer({
  policy_revision: text,
  since: time,
  complete_since: Type.Unsafe<string | null>({
    ...timeOrNull,
    description:
      'Time since which the results are complete: they are counted from events, and older events are deleted. Null: since `since`.',
  }),
  limits: Type.Array(shadowLimit, { description: 'Those that would have refused the most first.' }),
});

const revisionFields = {
  ...{ at: time, revision: text, actor: text, reason: text, file: text },
  outcome: Type.Union([Type.Literal('accepted'), Type.Literal('refused')]),
  violations: Type.String({ description: 'Violations of a refused edit, one on each line.' }),
};

export const policyAnswer = answer({
  revision: text,
  text,
  file: text,
  writable: Type.Boolean({ description: 'Whether PUT can replace the policy file.' }),
  refused: Type.Union([answer({ text, violations: Type.Array(text) }), Type.Null()], {
    description: 'The text that the file has, if it was refused.',
  }),
});

export const revisionsAnswer = answer({ revisions: Type.Array(answer(revisionFields)) });
export const revisionAnswer = answer({ ...revisionFields, text });

export type PolicyAnswer = Static<typeof policyAnswer>;
export type RevisionAnswer = Static<typeof revisionAnswer>;
export type BacktestAnswer = Static<typeof backtestAnswer>;
export type ShadowAnswer = Static<typeof shadowAnswer>;

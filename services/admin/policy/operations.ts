import { Type } from 'typebox';
import { idLengthMax } from '../../../shared/domain/identity.ts';
import { policyTextLengthMax } from '../../../shared/policy-changes/policy-editor.ts';
import { shadowDays, shadowDaysMax } from '../../../shared/policy-changes/shadow-results.ts';
import type { Operations } from '../answer.ts';
import { actor } from '../request-schemas.ts';
import { answer, count, numberOrNull, text, textOrNull, time, timeOrNull } from '../schema-parts.ts';

const number = Type.Number();

const PolicyText = Type.String({
  minLength: 1,
  maxLength: policyTextLengthMax,
  description: 'Text of a policy file (YAML).',
});
const Revision = Type.String({ pattern: '^[0-9a-f]{12}$' });

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

const backtestState = answer({
  state: Type.Union(['running', 'finished', 'failed', 'cancelled'].map((state) => Type.Literal(state))),
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

const revisionFields = {
  ...{ at: time, revision: text, actor: text, reason: text, file: text },
  outcome: Type.Union([Type.Literal('accepted'), Type.Literal('refused')]),
  violations: Type.String({ description: 'Violations of a refused edit, one on each line.' }),
};

const entityTag = { ETag: { description: 'Revision in force, for If-Match.', schema: { type: 'string' } } };

/** Operations on the policy, as the OpenAPI document describes them. */
export const policyOperations = {
  get: {
    operationId: 'getPolicy',
    role: 'viewer',
    tags: ['Policy'],
    summary: 'Get the policy in force',
    response: {
      200: answer({
        revision: text,
        text,
        file: text,
        writable: Type.Boolean({ description: 'Whether PUT can replace the policy file.' }),
        refused: Type.Union([answer({ text, violations: Type.Array(text) }), Type.Null()], {
          description: 'The text that the file has, if it was refused.',
        }),
      }) as object,
    },
    responseHeaders: { 200: entityTag },
  },
  listRevisions: {
    operationId: 'listPolicyRevisions',
    role: 'viewer',
    tags: ['Policy'],
    summary: 'List revisions that took effect, and refused edits, newest first',
    querystring: Type.Object({
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Default 100.' })),
    }),
    response: { 200: answer({ revisions: Type.Array(answer(revisionFields)) }) as object },
  },
  getRevision: {
    operationId: 'getPolicyRevision',
    role: 'viewer',
    tags: ['Policy'],
    summary: 'Get a revision with its text',
    params: Type.Object({ revision: Revision }),
    response: { 200: answer({ ...revisionFields, text }) as object },
    problems: [404],
  },
  check: {
    operationId: 'checkPolicy',
    role: 'viewer',
    tags: ['Policy'],
    summary: 'Check a policy and compare it with the one in force',
    body: Type.Object({ text: PolicyText }, { additionalProperties: false }),
    response: {
      200: answer({
        valid: Type.Boolean(),
        revision: text,
        violations: Type.Array(text),
        diff: Type.String({ description: 'Changed lines: `+` added, `-` removed.' }),
      }) as object,
    },
  },
  shadow: {
    operationId: 'getShadowResults',
    role: 'viewer',
    tags: ['Policy'],
    summary: 'Get what the limits in shadow mode would have refused',
    description:
      'Of the policy in force. A request over two limits in shadow mode counts for both. Days are those of UTC.',
    querystring: Type.Object({
      since: Type.Optional(
        Type.String({
          format: 'date-time',
          description: `Start, at most ${shadowDaysMax} days before now, to the minute. Absent: the last ${shadowDays} days.`,
        }),
      ),
    }),
    response: {
      200: answer({
        policy_revision: text,
        since: time,
        complete_since: Type.Unsafe<string | null>({
          ...timeOrNull,
          description:
            'Time since which the results are complete: they are counted from events, and older events are deleted. Null: since `since`.',
        }),
        limits: Type.Array(shadowLimit, { description: 'Those that would have refused the most first.' }),
      }) as object,
    },
    problems: [422],
  },
  startBacktest: {
    operationId: 'startBacktest',
    role: 'support',
    tags: ['Policy'],
    summary: 'Decide the recorded requests of a range again under a proposed policy',
    description: 'One backtest runs at a time; 409 while another one runs.',
    body: Type.Object(
      {
        text: PolicyText,
        from: time,
        to: time,
        tenant_id: Type.Optional(
          Type.String({ minLength: 1, maxLength: idLengthMax, description: 'Absent: all tenants.' }),
        ),
      },
      { additionalProperties: false },
    ),
    requestHeaders: actor,
    response: { 202: backtestState as object },
    problems: [409, 422],
  },
  getBacktest: {
    operationId: 'getBacktest',
    role: 'viewer',
    tags: ['Policy'],
    summary: 'Get the state and the result of the latest backtest',
    response: { 200: backtestState as object },
    problems: [404],
  },
  cancelBacktest: {
    operationId: 'cancelBacktest',
    role: 'support',
    tags: ['Policy'],
    summary: 'Cancel the backtest that runs',
    response: { 204: Type.Null({ description: 'Done.' }) as object },
  },
  put: {
    operationId: 'putPolicy',
    role: 'admin',
    tags: ['Policy'],
    summary: 'Put a policy live: replace the policy file',
    body: Type.Object(
      { text: PolicyText, reason: Type.String({ minLength: 1, maxLength: 500 }) },
      { additionalProperties: false },
    ),
    requestHeaders: {
      ...actor,
      'If-Match': {
        description: 'Revision in force that the change is meant for; else 412.',
        schema: { type: 'string' },
      },
    },
    response: { 200: answer({ revision: text }) as object },
    responseHeaders: { 200: entityTag },
    problems: [409, 412, 422],
  },
} satisfies Operations;

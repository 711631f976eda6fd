import { Type } from 'typebox';
import {
  backtestAnswer,
  policyAnswer,
  revisionAnswer,
  revisionsAnswer,
  shadowAnswer,
} from '../../../shared/admin-answers/policy-answers.ts';
import { idLengthMax } from '../../../shared/domain/identity.ts';
import { policyTextLengthMax } from '../../../shared/policy-changes/policy-editor.ts';
import { shadowDays, shadowDaysMax } from '../../../shared/policy-changes/shadow-results.ts';
import type { Operations } from '../answer.ts';
import { actor } from '../request-schemas.ts';
import { answer, text, time } from '../../../shared/admin-answers/schema-parts.ts';

const PolicyText = Type.String({
  minLength: 1,
  maxLength: policyTextLengthMax,
  description: 'Text of a policy file (YAML).',
});
const Revision = Type.String({ pattern: '^[0-9a-f]{12}$' });

const entityTag = { ETag: { description: 'Revision in force, for If-Match.', schema: { type: 'string' } } };

/** Operations on the policy, as the OpenAPI document describes them. */
export const policyOperations = {
  get: {
    operationId: 'getPolicy',
    role: 'viewer',
    tags: ['Policy'],
    summary: 'Get the policy in force',
    response: {
      200: policyAnswer as object,
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
    response: { 200: revisionsAnswer as object },
  },
  getRevision: {
    operationId: 'getPolicyRevision',
    role: 'viewer',
    tags: ['Policy'],
    summary: 'Get a revision with its text',
    params: Type.Object({ revision: Revision }),
    response: { 200: revisionAnswer as object },
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
      200: shadowAnswer as object,
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
    response: { 202: backtestAnswer as object },
    problems: [409, 422],
  },
  getBacktest: {
    operationId: 'getBacktest',
    role: 'viewer',
    tags: ['Policy'],
    summary: 'Get the state and the result of the latest backtest',
    response: { 200: backtestAnswer as object },
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

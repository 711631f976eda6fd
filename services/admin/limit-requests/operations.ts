import { Type } from 'typebox';
import { idLengthMax } from '../../../shared/domain/identity.ts';
import type { Operations } from '../answer.ts';
import { actor } from '../request-schemas.ts';
import {
  answerSchema,
  internalNoteSchema,
  timeSchema,
} from '../../../shared/tenants/record/basic-schemas.ts';
import { requestsAnswer } from '../../../shared/admin-answers/request-answers.ts';
import { limitRequestSchema } from '../../../shared/tenants/record/schema.ts';

const RequestParams = Type.Object({
  id: Type.String({ minLength: 1, maxLength: idLengthMax }),
  requestId: Type.String({ minLength: 1, maxLength: 100 }),
});

const RequestsQuery = Type.Object({
  state: Type.Optional(
    Type.Union(
      ['open', 'approved', 'declined', 'withdrawn'].map((state) => Type.Literal(state)),
      { description: 'Absent: all states.' },
    ),
  ),
  tenant_id: Type.Optional(Type.String({ minLength: 1, maxLength: idLengthMax })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Default 100.' })),
});

const ApprovalBody = Type.Object(
  {
    set_to: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 1e15,
        description: 'Granted value; absent: as requested.',
      }),
    ),
    ends_at: Type.Optional(
      Type.Unsafe<string | null>({
        ...timeSchema,
        type: ['string', 'null'],
        description: 'End; null: without an end; absent: the requested duration from now on.',
      }),
    ),
    answer: Type.Optional(answerSchema),
    internal_note: Type.Optional(internalNoteSchema),
  },
  { additionalProperties: false, examples: [{ set_to: 500, answer: 'Good luck with the launch' }] },
);

const DeclineBody = Type.Object(
  { answer: answerSchema, internal_note: Type.Optional(internalNoteSchema) },
  { additionalProperties: false, examples: [{ answer: 'The pro plan has this limit' }] },
);

/** Operations on tenants' requests for higher limits, as the OpenAPI document describes them. */
export const requestOperations = {
  list: {
    operationId: 'listLimitRequests',
    role: 'viewer',
    tags: ['Controls'],
    summary: 'List requests of tenants for higher limits',
    description: 'Open requests come first, the longest open one first; then the latest answers.',
    querystring: RequestsQuery,
    response: {
      200: requestsAnswer as object,
    },
  },
  approve: {
    operationId: 'approveLimitRequest',
    role: 'support',
    tags: ['Controls'],
    summary: 'Approve a request, as requested or with another value or end',
    description:
      'With an end, the limit gets a boost, which ends by itself; without an end, an override, which needs the role admin.',
    params: RequestParams,
    body: Type.Union([ApprovalBody, Type.Null()]),
    requestHeaders: actor,
    response: { 200: limitRequestSchema as object },
    problems: [409, 422],
  },
  decline: {
    operationId: 'declineLimitRequest',
    role: 'support',
    tags: ['Controls'],
    summary: 'Decline a request with an answer that the tenant reads',
    params: RequestParams,
    body: DeclineBody,
    requestHeaders: actor,
    response: { 200: limitRequestSchema as object },
    problems: [409, 422],
  },
} satisfies Operations;

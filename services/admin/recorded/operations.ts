import { Type } from 'typebox';
import { idLengthMax } from '../../../shared/domain/identity.ts';
import type { Operations } from '../answer.ts';
import { TenantParams } from '../request-schemas.ts';
import { decisionAnswer, eventsAnswer, usageAnswer } from '../../../shared/admin-answers/recorded-answers.ts';

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
      200: eventsAnswer as object,
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
      200: decisionAnswer as object,
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
      200: usageAnswer as object,
    },
  },
} satisfies Operations;

import { Type } from 'typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { disconnectSignal } from '../../../../shared/runtime/http/disconnect-signal.ts';
import { eventBounds } from '../../../../shared/domain/events/bounds.ts';
import type { ApiOptions, ApiServer } from './api-server.ts';
import { chargeWork } from './charging.ts';
import { callerOf } from './caller.ts';
import { appendShared, shareOf } from '../../ingest/ingest-share.ts';
import { findDecisions } from '../../outcomes/find-decisions.ts';
import { isExpired, outcomeHoursMax, writeOutcomes } from '../../outcomes/write-outcomes.ts';
import type { Outcome, OutcomeStatus } from '../../outcomes/write-outcomes.ts';
import { plainProblem, sendProblem, sendReadFailure } from '../../responses/problem.ts';

const closed = { additionalProperties: false };
const idSchema = Type.String({ maxLength: 64 });
const fields = {
  status: Type.Integer({ minimum: 100, maximum: 599, description: 'Status of the response to the client.' }),
  latency_ms: Type.Number({
    minimum: 0,
    maximum: eventBounds.latencyMsMax,
    description: 'From the request to its response.',
  }),
};
const outcomeBody = Type.Object(fields, { ...closed, examples: [{ status: 200, latency_ms: 41.5 }] });
const outcomesBody = Type.Object(
  {
    outcomes: Type.Array(Type.Object({ decision_id: idSchema, ...fields }, closed), {
      minItems: 1,
      maxItems: eventBounds.batchEventsMax,
    }),
  },
  {
    ...closed,
    examples: [
      { outcomes: [{ decision_id: '019ac0c8-0000-7000-8000-000000000000', status: 200, latency_ms: 41.5 }] },
    ],
  },
);

const acceptedAnswer = Type.Object({ decision_id: Type.String(), status: Type.Literal('accepted') }, closed);
const resultsAnswer = Type.Object(
  {
    accepted: Type.Integer(),
    results: Type.Array(
      Type.Object(
        {
          decision_id: Type.String(),
          status: Type.String({
            description:
              'accepted, unknown (no decision of yours, or one that another node made within the last seconds), ' +
              'expired (too old), or unavailable (send it again)',
          }),
        },
        closed,
      ),
      { description: 'One per outcome, in order.' },
    ),
  },
  closed,
);

const unknownDetail =
  'No decision of yours about a request that you serve has this id. One that another node made can be found within two ' +
  'seconds: send the outcome again then.';

/**
 * Accepts outcomes of requests that an application served after `POST /v1/check`. Analyses then use the status and the
 * latency of the application's response, and not those of the check. Sending the same outcome again changes nothing; of
 * several outcomes for one decision, the last one is stored.
 */
export function registerOutcomes(app: ApiServer, options: ApiOptions): void {
  registerOne(app, options);
  registerMany(app, options);
}

function registerOne(app: ApiServer, options: ApiOptions): void {
  app.post(
    '/v1/decisions/:id/outcome',
    {
      config: { access: 'credential', work: 'events' },
      schema: {
        operationId: 'reportOutcome',
        tags: ['Decisions'],
        summary: 'Report the outcome of a checked request',
        description: `202 means that the outcome survives a crash. Sending it again is always safe. Outcomes are accepted for ${outcomeHoursMax} hours.`,
        params: Type.Object({ id: idSchema }),
        body: outcomeBody,
        response: { 202: acceptedAnswer },
      },
    },
    async (request, reply) => {
      const { status, latency_ms: latencyMs } = request.body;
      const id = request.params.id.toLowerCase();
      const reported = await report(request, reply, options, [{ id, status, latencyMs }]);
      if (reported === null) return reply;
      const [result = 'unknown'] = reported.statuses;
      if (result === 'accepted') return reply.code(202).send({ decision_id: id, status: 'accepted' });
      if (result === 'unavailable') {
        return sendReadFailure(
          reply,
          reported.failure ?? new Error('the spool accepts no events'),
          'The decision',
        );
      }
      sendProblem(
        reply,
        result === 'expired'
          ? plainProblem(400, `Outcomes are accepted for ${outcomeHoursMax} hours after the decision.`)
          : plainProblem(404, unknownDetail),
      );
      return reply;
    },
  );
}

function registerMany(app: ApiServer, options: ApiOptions): void {
  app.post(
    '/v1/outcomes',
    {
      config: { access: 'credential', work: 'events' },
      schema: {
        operationId: 'reportOutcomes',
        tags: ['Decisions'],
        summary: 'Report the outcomes of many checked requests',
        description:
          'Accepted outcomes survive a crash. 400 where every outcome is refused for good, 503 where all may be sent again.',
        body: outcomesBody,
        response: { 202: resultsAnswer, 400: resultsAnswer, 503: resultsAnswer },
      },
    },
    async (request, reply) => {
      const outcomes = request.body.outcomes.map(({ decision_id: id, status, latency_ms: latencyMs }) => ({
        id: id.toLowerCase(),
        status,
        latencyMs,
      }));
      const reported = await report(request, reply, options, outcomes);
      if (reported === null) return reply;
      const { statuses } = reported;
      const count = (wanted: OutcomeStatus): number => statuses.filter((status) => status === wanted).length;
      const [accepted, unavailable] = [count('accepted'), count('unavailable')];
      if (unavailable > 0) void reply.header('retry-after', '1');
      const results = outcomes.map(({ id }, index) => ({
        decision_id: id,
        status: statuses[index] ?? 'unknown',
      }));
      const status = accepted > 0 ? 202 : unavailable > 0 ? 503 : 400;
      return reply.code(status).send({ accepted, results });
    },
  );
}

interface Reported {
  readonly statuses: readonly OutcomeStatus[];
  /** The error of reading stored decisions; null if there was none. */
  readonly failure: unknown;
}

const shareFull = 'Kafka is behind and your share of the waiting events is full; send it again.';
const diskFails = 'The disk of this node accepts no events now; send it again.';

/** Approximate size in bytes of an outcome's event in Kafka. */
const outcomeBytes = 400;

/**
 * Charges the outcomes like published events and writes them if the caller's share of the spool has room. Returns null
 * after a problem was sent.
 */
async function report(
  request: FastifyRequest,
  reply: FastifyReply,
  { enforcer, events, ingestShare, queries }: ApiOptions,
  outcomes: readonly Outcome[],
): Promise<Reported | null> {
  const bytes = outcomes.length * outcomeBytes;
  if (!(await chargeWork(enforcer, request, reply, { kind: 'eventBytes', units: bytes }))) return null;
  if (!(await chargeWork(enforcer, request, reply, { kind: 'events', units: outcomes.length }))) return null;
  const caller = callerOf(request);
  const isDurable = ingestShare.isDurable();
  if (!isDurable || !ingestShare.admits(shareOf(caller), bytes)) {
    void reply.header('retry-after', '5');
    sendProblem(reply, plainProblem(503, isDurable ? shareFull : diskFails));
    return null;
  }
  const reader = queries.of(caller.tenantId ?? '', disconnectSignal(reply));
  const found = await findDecisions(
    outcomes.map(({ id }) => id).filter((id) => !isExpired(id, enforcer.clock.now())),
    caller,
    enforcer,
    reader,
  );
  const statuses = await appendShared({ events, ingestShare }, shareOf(caller), bytes, (log) =>
    writeOutcomes(outcomes, found, {
      enforcer,
      events: log,
      isTrusted: caller.service !== null,
      isDurable: () => ingestShare.isDurable(),
    }),
  );
  for (const status of statuses) enforcer.metrics.apiOutcomes.inc({ result: status });
  return { statuses, failure: found.failure };
}

import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Identity } from '../../../shared/domain/identity.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { ApiOptions, ApiServer } from '../api-server.ts';
import { callerOf, problemOfUser, sendProblem } from '../caller.ts';
import { readEvent, structured } from '../cloud-event.ts';
import type { Publisher } from '../cloud-event.ts';
import { plainProblem } from '../problem.ts';

const eventsMax = 1_000;
const singleType = 'application/cloudevents+json';
const batchType = 'application/cloudevents-batch+json';

const resultSchema = Type.Object({
  id: Type.Union([Type.String(), Type.Null()]),
  status: Type.String({ description: 'accepted, rejected (never will be) or unavailable (send it again)' }),
  reason: Type.Optional(Type.String()),
});

const answerSchema = Type.Object({
  accepted: Type.Integer(),
  rejected: Type.Integer(),
  results: Type.Array(resultSchema, { description: 'One per event, in order.' }),
});

type Result = Static<typeof resultSchema>;

/**
 * `POST /v1/events`: usage events of API servers, as CloudEvents 1.0 over HTTP: binary (ce- headers, JSON body),
 * structured (application/cloudevents+json) or a batch (application/cloudevents-batch+json, up to 1,000).
 *
 * 202 means that every accepted event is in the spool and survives a crash of this process. 400 where every event is
 * rejected, 503 where the spool could take none; the result of each event says which may be sent again. Sending again
 * is safe always: (source, id) is counted once.
 */
export function registerEvents(app: ApiServer, { gate, events }: ApiOptions): void {
  app.addContentTypeParser(
    [singleType, batchType],
    { parseAs: 'string' },
    app.getDefaultJsonParser('error', 'error'),
  );
  app.post(
    '/v1/events',
    {
      schema: {
        summary: 'Publish usage events (CloudEvents 1.0)',
        consumes: [singleType, batchType, 'application/json'],
        response: { 202: answerSchema, 400: answerSchema, 503: answerSchema },
      },
      // Problems and results share the statuses; each is written as what it is.
      serializerCompiler: () => (data) => JSON.stringify(data),
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const given = eventsOf(request, reply);
      if (given === null) return reply;
      const publisher = {
        tenantId: caller.tenantId,
        service: caller.service !== null,
        nowMs: gate.clock.now(),
      };
      const results = given.map((event) => publish(event, publisher, caller));
      await events.flushed();
      const accepted = count(results, 'accepted');
      const unavailable = count(results, 'unavailable');
      const status = accepted > 0 ? 202 : unavailable > 0 ? 503 : 400;
      if (unavailable > 0) reply.header('retry-after', '1');
      return reply.code(status).send({ accepted, rejected: results.length - accepted, results });
    },
  );

  function publish(given: unknown, publisher: Publisher, caller: Identity): Result {
    const result = resultOf(given, publisher, caller);
    gate.metrics.apiEvents.inc({ result: result.status });
    return result;
  }

  function resultOf(given: unknown, publisher: Publisher, caller: Identity): Result {
    const read = readEvent(given, publisher);
    if ('problem' in read) return rejected(idOf(given), read.problem);
    const problem = problemOfEventUser(read.event, caller);
    return problem === null ? append(read.event) : rejected(read.event.id, problem);
  }

  function append(event: UsageCloudEvent): Result {
    try {
      events.append(() => event);
      return { id: event.id, status: 'accepted' };
    } catch (error) {
      gate.logger.error({ err: error }, `event not written: ${messageOf(error)}`);
      return { id: event.id, status: 'unavailable', reason: 'the event could not be stored now' };
    }
  }
}

/** The usage of a user is published by a service, by the user's tenant, or by that user's own token. */
function problemOfEventUser({ data }: UsageCloudEvent, caller: Identity): string | null {
  const { user_id: user = null } = data as { readonly user_id?: string | number | null };
  if (user === null || user === '' || problemOfUser(caller, String(user)) === null) return null;
  return 'data.user_id must be your own user';
}

/** The events of a request in structured form; null where the answer is sent. */
function eventsOf(request: FastifyRequest, reply: FastifyReply): unknown[] | null {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const { body } = request;
  if (type === batchType) {
    if (!Array.isArray(body)) return refuse(reply, 400, 'A batch must be a JSON array of events.');
    if (body.length === 0) return refuse(reply, 400, 'The batch is empty.');
    if (body.length > eventsMax)
      return refuse(reply, 413, `A batch takes up to ${eventsMax} events; this one has ${body.length}.`);
    return body as unknown[];
  }
  if (type === singleType) return [body];
  if (request.headers['ce-specversion'] !== undefined) return [structured(request.headers, body)];
  return refuse(reply, 415, `Send ${singleType}, ${batchType}, or a JSON body with ce- headers.`);
}

function refuse(reply: FastifyReply, status: number, detail: string): null {
  sendProblem(reply, plainProblem(status, detail));
  return null;
}

function rejected(id: string | null, reason: string): Result {
  return { id, status: 'rejected', reason };
}

function idOf(given: unknown): string | null {
  const id = typeof given === 'object' && given !== null ? (given as { id?: unknown }).id : null;
  return typeof id === 'string' ? id.slice(0, 256) : null;
}

function count(results: readonly Result[], status: string): number {
  return results.filter((result) => result.status === status).length;
}

import { Type } from 'typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiOptions, ApiServer } from './api-server.ts';
import { chargeWork } from './charging.ts';
import { callerOf } from './caller.ts';
import type { Publisher } from '../../ingest/accept-event.ts';
import { acceptedCodings, decodeBody } from '../../ingest/content-coding.ts';
import type { DecodedBody } from '../../ingest/content-coding.ts';
import { eventsOf, plainEventsOf } from '../../ingest/http-binding.ts';
import { appendShared, shareOf } from '../../ingest/ingest-share.ts';
import type { Member, RequestEvents } from '../../ingest/http-binding.ts';
import { judgeEvents, writeEvents } from '../../ingest/publish-events.ts';
import type { EventResult, Judgement } from '../../ingest/publish-events.ts';
import { bodyBytesMax } from './api-server.ts';
import { plainProblem, sendProblem } from '../../responses/problem.ts';
import { eventsBody } from './response-schemas.ts';

const resultSchema = Type.Object({
  id: Type.Union([Type.String(), Type.Null()]),
  status: Type.String({
    description:
      'accepted, duplicate (of an earlier event of the batch), rejected (do not send it again) or unavailable (send it again)',
  }),
  reason: Type.Optional(Type.String()),
});

const answerSchema = Type.Object({
  accepted: Type.Integer(),
  duplicates: Type.Integer(),
  rejected: Type.Integer(),
  results: Type.Array(resultSchema, { description: 'One per event, in order.' }),
});

/**
 * `POST /v1/events`: usage events of API servers, as CloudEvents 1.0 over HTTP in binary, structured or batched mode,
 * optionally compressed. `POST /api/v1/events`: the same for the SDKs of OpenMeter.
 *
 * The response has a result for each event, which states whether the client should send the event again. Its status is
 * 202 if at least one event is accepted: every accepted event is in the spool, survives a crash of this process, and
 * will be counted. The status is 503 if no event is accepted and at least one may be sent again, and 400 if all are
 * rejected. Sending an event again is always safe, because events with the same source and id are counted once.
 */
export function registerEvents(app: ApiServer, options: ApiOptions): void {
  // The routes of events have their own Fastify scope, whose parser returns every body as bytes, regardless
  // of its Content-Type.
  void app.register((scope: ApiServer, _none: object, done: () => void) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, parsed) => parsed(null, body));
    registerCloudEvents(scope, options);
    registerOpenMeter(scope, options);
    done();
  });
}

function registerCloudEvents(scope: ApiServer, options: ApiOptions): void {
  const { enforcer } = options;
  scope.post(
    '/v1/events',
    {
      config: { access: 'credential', work: 'events', permission: 'events' },
      schema: {
        operationId: 'publishEvents',
        tags: ['Events'],
        summary: 'Publish usage events (CloudEvents 1.0)',
        description:
          'Binary, structured or a batch, also compressed. 202 means that every accepted event survives a crash. ' +
          'Sending again is always safe: an event is counted once by source and id.',
        documentedBody: eventsBody,
        response: { 202: answerSchema, 400: answerSchema, 503: answerSchema },
      },
      // Responses with the same status contain a problem or a list of results. No serializer compiled from a
      // schema fits both.
      serializerCompiler: () => (data) => JSON.stringify(data),
    },
    async (request, reply) => {
      const publisher = publisherOf(request, options);
      const members = await membersOf(request, reply, options, (body) =>
        eventsOf({ ...fieldsOf(request), body }),
      );
      if (members === null) return reply;
      const results = await writeShared(
        await judgeEvents(members.list, publisher, options.eventGroups),
        request,
        members.bytes,
        options,
      );
      for (const { status } of results) enforcer.metrics.apiEvents.inc({ result: status });
      const [accepted, duplicates, unavailable] = [
        count(results, 'accepted'),
        count(results, 'duplicate'),
        count(results, 'unavailable'),
      ];
      const status = accepted > 0 ? 202 : unavailable > 0 ? 503 : 400;
      if (unavailable > 0) reply.header('retry-after', '1');
      const rejected = results.length - accepted - duplicates;
      return reply.code(status).send({ accepted, duplicates, rejected, results });
    },
  );
}

/**
 * For SDKs of OpenMeter that are configured with Tollgate's base URL. Their protocol has no result per event, so a
 * batch is accepted completely or rejected completely. If a part were accepted, an SDK that sends the whole batch again
 * under new ids would cause events to be counted twice.
 */
function registerOpenMeter(scope: ApiServer, options: ApiOptions): void {
  const { enforcer } = options;
  scope.post(
    '/api/v1/events',
    {
      config: { access: 'credential', work: 'events', permission: 'events' },
      schema: {
        operationId: 'publishEventsOpenMeter',
        tags: ['Events'],
        summary: 'Publish usage events with an SDK of OpenMeter',
        description: 'A batch is accepted completely or not at all.',
        documentedBody: eventsBody,
        response: { 204: Type.Null({ description: 'All events are safe.' }) },
      },
    },
    async (request, reply) => {
      const publisher = publisherOf(request, options);
      const isPlain = /^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '');
      const members = await membersOf(request, reply, options, (body) =>
        isPlain ? plainEventsOf(body) : eventsOf({ ...fieldsOf(request), body }),
      );
      if (members === null) return reply;
      const judgements = await judgeEvents(members.list, publisher, options.eventGroups);
      const rejected = judgements.flatMap((judgement, index) =>
        judgement.kind === 'rejected' ? [{ index, id: judgement.id, reason: judgement.reason }] : [],
      );
      if (rejected.length > 0) {
        enforcer.metrics.apiEvents.inc({ result: 'rejected' }, judgements.length);
        const [first] = rejected;
        const detail = `Event ${first?.index ?? 0} of ${judgements.length}: ${first?.reason ?? ''}; no event was accepted.`;
        sendProblem(reply, { ...plainProblem(400, detail), events: rejected });
        return reply;
      }
      const results = await writeShared(judgements, request, members.bytes, options);
      for (const { status } of results) enforcer.metrics.apiEvents.inc({ result: status });
      if (count(results, 'unavailable') === 0) return reply.code(204).send(null);
      reply.header('retry-after', '1');
      sendProblem(reply, plainProblem(503, 'The events could not be stored now; send them again.'));
      return reply;
    },
  );
}

function publisherOf(request: FastifyRequest, { enforcer, eventTimes: times }: ApiOptions): Publisher {
  return { identity: callerOf(request), nowMs: enforcer.clock.now(), times };
}

interface Members {
  readonly list: readonly Member[];
  /** Size of the decoded body. */
  readonly bytes: number;
}

/**
 * Decodes the body, charges it to the caller, and returns its events if the caller's share of the spool has room for
 * them. Returns null after a problem was sent. The bytes of a body are charged even if its events are refused, because
 * reading the body is most of the work.
 */
async function membersOf(
  request: FastifyRequest,
  reply: FastifyReply,
  { enforcer, ingestShare }: ApiOptions,
  read: (body: Buffer) => RequestEvents,
): Promise<Members | null> {
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const coding = request.headers['content-encoding'] ?? '';
  const decoded = await decodeBody(coding, body, bodyBytesMax);
  const bytes = bytesOf(decoded, body);
  if (!(await chargeWork(enforcer, request, reply, { kind: 'eventBytes', units: Math.max(1, bytes) })))
    return null;
  const events = 'status' in decoded ? decoded : read(decoded.body);
  if ('status' in events) {
    if (events === decoded && events.status === 415) reply.header('accept-encoding', acceptedCodings);
    sendProblem(reply, plainProblem(events.status, events.detail));
    return null;
  }
  const list = events.members;
  if (!(await chargeWork(enforcer, request, reply, { kind: 'events', units: list.length }))) return null;
  const isDurable = ingestShare.isDurable();
  if (isDurable && ingestShare.admits(shareOf(callerOf(request)), bytes)) return { list, bytes };
  enforcer.metrics.apiEvents.inc({ result: 'unavailable' }, list.length);
  sendProblem(
    reply.header('retry-after', '5'),
    plainProblem(
      503,
      isDurable
        ? 'Kafka is behind and your share of the space for waiting events is full; send them again.'
        : 'The disk of this node accepts no events now; send them again.',
    ),
  );
  return null;
}

/**
 * Returns the number of bytes to charge: the size of the decoded body; if the decoded body is too large, its largest
 * permitted size; if it cannot be decoded, the size of the received body.
 */
function bytesOf(decoded: DecodedBody, body: Buffer): number {
  if ('body' in decoded) return decoded.body.length;
  return decoded.status === 413 ? bodyBytesMax : body.length;
}

/**
 * Writes the accepted events to the spool, and counts their bytes in the publisher's share until Kafka has acknowledged
 * them.
 */
async function writeShared(
  judgements: readonly Judgement[],
  request: FastifyRequest,
  bytes: number,
  options: ApiOptions,
): Promise<EventResult[]> {
  const results = await appendShared(options, shareOf(callerOf(request)), bytes, (log) =>
    writeEvents(judgements, log, options.enforcer.logger),
  );
  if (options.ingestShare.isDurable()) return results;
  // The disk failed during the write, so a crash of this process may lose the events. If the client sends
  // them again, each is still counted once.
  return results.map((result) =>
    result.status === 'rejected'
      ? result
      : { id: result.id, status: 'unavailable', reason: 'the event could not be stored now' },
  );
}

function fieldsOf({ headers, raw: { rawHeaders } }: FastifyRequest) {
  return { headers, rawHeaders };
}

function count(results: readonly EventResult[], status: EventResult['status']): number {
  return results.filter((result) => result.status === status).length;
}

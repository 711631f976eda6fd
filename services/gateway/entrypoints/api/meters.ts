import { Type } from 'typebox';
import type { Static } from 'typebox';
import { disconnectSignal } from '../../../../shared/runtime/http/disconnect-signal.ts';
import type { FastifyReply } from 'fastify';
import { completeFrom } from '../../../../shared/clickhouse/queries/installation/event-retention.ts';
import { meterCsv, queryMeter, rowsMax } from '../../../../shared/clickhouse/queries/meters.ts';
import type { MeterResult, MeterQuery } from '../../../../shared/clickhouse/queries/meters.ts';
import { jsonMoney } from '../../../../shared/domain/money.ts';
import type { MeterDefinition } from '../../../../shared/domain/meter.ts';
import type { ApiOptions, ApiServer } from './api-server.ts';
import { tenantOf } from './caller.ts';
import { plainProblem, sendProblem, sendReadFailure } from '../../responses/problem.ts';
import { meterQueryOf, meterQuerySchema } from './meter-query.ts';
import type { MeterQueryText } from './meter-query.ts';

const paramsSchema = Type.Object({ name: Type.String({ description: 'Name of the meter.' }) });

const meterSchema = Type.Object({
  name: Type.String(),
  event_type: Type.String(),
  aggregation: Type.String(),
  value: Type.Union([Type.String(), Type.Null()]),
  group_by: Type.Array(Type.String()),
});

const rowSchema = Type.Object({
  window_start: Type.String(),
  window_end: Type.String(),
  group: Type.Record(Type.String(), Type.String()),
  value: Type.Union([Type.Number(), Type.Null()], {
    description: 'Null where no event of the window has a value.',
  }),
});

const answerSchema = Type.Object({
  meter: Type.String(),
  tenant_id: Type.String(),
  window: Type.Union([Type.String(), Type.Null()]),
  time_zone: Type.String(),
  rows: Type.Array(rowSchema, { description: 'By window, then group; windows without events are omitted.' }),
  complete_through: Type.Union([Type.String(), Type.Null()], {
    description: 'Every event that was published before this time is in the rows.',
  }),
  complete_from: Type.Union([Type.String(), Type.Null()], {
    description:
      'Time from which the rows are complete, if it is after `from`: they are computed from single events, and older ones are deleted. Null: the rows are complete from the start.',
  }),
});

type MeterAnswer = MeterResult & Pick<Static<typeof answerSchema>, 'complete_from'>;

/**
 * `GET /v1/meters` lists the meters of the policy; `GET /v1/meters/{name}/query` returns a meter's values for a tenant.
 * A response is either complete or a problem: 400 for too many rows, and 503 if ClickHouse fails. A failed read never
 * appears as zero.
 */
export function registerMeters(app: ApiServer, { enforcer, queries, eventsStoredSince }: ApiOptions): void {
  app.get(
    '/v1/meters',
    {
      schema: {
        operationId: 'listMeters',
        tags: ['Usage'],
        summary: 'The meters of the policy',
        response: { 200: Type.Object({ meters: Type.Array(meterSchema) }) },
      },
    },
    () => ({ meters: [...enforcer.policy().meters.values()].map(viewOf) }),
  );
  app.get(
    '/v1/meters/:name/query',
    {
      schema: {
        operationId: 'queryMeter',
        tags: ['Usage'],
        summary: 'Query a meter',
        description: 'A response is complete or a problem: too many rows are a 400.',
        params: paramsSchema,
        querystring: meterQuerySchema,
        response: {
          200: {
            description:
              'The rows. As CSV, X-Tollgate-Complete-Through and X-Tollgate-Complete-From have the times that JSON has as complete_through and complete_from.',
            content: { 'application/json': { schema: answerSchema }, 'text/csv': { schema: Type.String() } },
          },
        },
        responseHeaders: {
          200: {
            'X-Tollgate-Complete-Through': {
              description: 'Of CSV: the time that JSON has as complete_through.',
              schema: { type: 'string', format: 'date-time' },
            },
            'X-Tollgate-Complete-From': {
              description: 'Of CSV: the time that JSON has as complete_from; absent if that is null.',
              schema: { type: 'string', format: 'date-time' },
            },
          },
        },
        problems: [403],
      },
      // A serializer compiled from the schema would convert money to a double, which has too few digits for it.
      serializerCompiler: () => (data) => JSON.stringify(data),
    },
    async (request, reply) => {
      const tenantId = tenantOf(request, reply, request.query.tenant_id);
      if (tenantId === null) return reply;
      const { meters } = enforcer.policy();
      const definition = meters.get(request.params.name);
      if (definition === undefined) return sendPlainProblem(reply, 404, unknownMeter([...meters.keys()]));
      const zone = request.query.time_zone ?? enforcer.records.get(tenantId)?.time_zone ?? 'UTC';
      const caller = { tenantId, timeZone: zone, nowMs: enforcer.clock.now() };
      const query = meterQueryOf(definition, request.query, caller);
      if (typeof query === 'string') return sendPlainProblem(reply, 400, query);
      let result: MeterAnswer;
      try {
        const [read, sinceMs] = await Promise.all([
          queryMeter(queries.of(tenantId, disconnectSignal(reply)), definition, query),
          eventsStoredSince(caller.nowMs),
        ]);
        result = { ...read, complete_from: completeFrom(query.fromMs, sinceMs) };
      } catch (error) {
        return sendReadFailure(reply, error, 'The meter');
      }
      if (result.cut) return sendPlainProblem(reply, 400, tooManyRows);
      return wantsCsv(request.query.format, request.headers.accept)
        ? sendCsv(reply, result, query)
        : reply.send(bodyOf(definition, query, zone, result));
    },
  );
}

const tooManyRows = `The response would have more than ${rowsMax} rows: use a shorter span, a longer window or fewer groups.`;

function viewOf({
  name,
  eventType,
  aggregation,
  value,
  groupBy,
}: MeterDefinition): Static<typeof meterSchema> {
  return { name, event_type: eventType, aggregation, value, group_by: [...groupBy] };
}

function unknownMeter(names: readonly string[]): string {
  return names.length === 0
    ? 'The policy defines no meters.'
    : `This meter does not exist; GET /v1/meters lists them: ${names.join(', ')}.`;
}

function bodyOf(
  { name }: MeterDefinition,
  { tenantId, window }: MeterQuery,
  timeZone: string,
  { rows, complete_through, complete_from }: MeterAnswer,
): Static<typeof answerSchema> {
  return {
    meter: name,
    tenant_id: tenantId,
    window,
    time_zone: timeZone,
    rows: rows.map(({ value, ...row }) => ({
      ...row,
      group: { ...row.group },
      value: typeof value === 'bigint' ? jsonMoney(value) : value,
    })),
    complete_through,
    complete_from,
  };
}

/** Sends the rows as CSV. A CSV table has no place for the times of completeness, so header fields contain them. */
function sendCsv(
  reply: FastifyReply,
  { rows, complete_through, complete_from }: MeterAnswer,
  query: MeterQuery,
): FastifyReply {
  if (complete_through !== null) reply.header('x-tollgate-complete-through', complete_through);
  if (complete_from !== null) reply.header('x-tollgate-complete-from', complete_from);
  return reply.type('text/csv; charset=utf-8').send(meterCsv(rows, query.groupBy));
}

/**
 * True if the response is CSV. The query's `format` decides; if absent, the type that Accept names first; else JSON.
 */
function wantsCsv(format: MeterQueryText['format'], accept = ''): boolean {
  if (format !== undefined) return format === 'csv';
  const types = accept.split(',').map((range) => range.split(';', 1)[0]?.trim().toLowerCase());
  return types.find((type) => type === 'text/csv' || type === 'application/json') === 'text/csv';
}

function sendPlainProblem(reply: FastifyReply, status: number, detail: string): FastifyReply {
  sendProblem(reply, plainProblem(status, detail));
  return reply;
}

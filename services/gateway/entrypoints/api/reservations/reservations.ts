import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { eventBounds } from '../../../../../shared/domain/events/bounds.ts';
import { disconnectSignal } from '../../../../../shared/runtime/http/disconnect-signal.ts';
import { idLengthMax } from '../../../../../shared/domain/identity.ts';
import { decimalAmounts } from '../../../../../shared/domain/usage/quantity.ts';
import { changeReservation } from '../../../reservations/change-reservation.ts';
import type {
  ChangeSource,
  ReservationChange,
  ReservationOutcome,
} from '../../../reservations/change-reservation.ts';
import { plainProblem, sendProblem } from '../../../responses/problem.ts';
import type { Problem } from '../../../responses/problem.ts';
import type { ApiOptions, ApiServer } from '../api-server.ts';
import { callerOf, tenantOf } from '../caller.ts';
import { chargeWork } from '../charging.ts';
import { shareOf } from '../../../ingest/ingest-share.ts';
import { amountsSchema, modelSchema, usageSchema } from './usage-schemas.ts';

const closed = { additionalProperties: false };
/** Maximum number of settlements in one request. */
const settlementsMax = 100;

const idSchema = Type.String({ minLength: 1, maxLength: 128 });
const tenantSchema = {
  tenant_id: Type.Optional(
    Type.String({ maxLength: idLengthMax, description: 'For services: the tenant of the reservation.' }),
  ),
};
const settlementFields = {
  usage: usageSchema,
  model: Type.Optional(modelSchema),
  status: Type.Optional(Type.Integer({ minimum: 100, maximum: 599, description: 'Status of the response.' })),
  latency_ms: Type.Optional(Type.Number({ minimum: 0, maximum: eventBounds.latencyMsMax })),
};
const settleBody = Type.Object(
  { ...tenantSchema, ...settlementFields },
  {
    ...closed,
    examples: [{ tenant_id: 'acme', usage: { input_tokens: 118, output_tokens: 240 }, status: 200 }],
  },
);
const extendBody = Type.Object(
  { ...tenantSchema, usage: usageSchema, model: Type.Optional(modelSchema) },
  { ...closed, examples: [{ tenant_id: 'acme', usage: { output_tokens: 500 } }] },
);
const cancelBody = Type.Object(tenantSchema, closed);
const batchBody = Type.Object(
  {
    ...tenantSchema,
    settlements: Type.Array(Type.Object({ id: idSchema, ...settlementFields }, closed), {
      minItems: 1,
      maxItems: settlementsMax,
    }),
  },
  closed,
);

const changedAnswer = Type.Object(
  {
    id: Type.String(),
    state: Type.String({ description: 'open, settled or cancelled' }),
    amounts: amountsSchema,
    result: Type.String({
      description:
        'applied; waiting (Redis is unavailable: repeated until it is applied); missing (Redis has no reservation: only the ' +
        'excess was charged, if anything); dropped (too many changes wait: the reserved amounts stay charged). In every case the ' +
        'stored event has the new amounts.',
    }),
  },
  closed,
);
const batchAnswer = Type.Object(
  {
    results: Type.Array(
      Type.Object(
        { id: Type.String(), status: Type.Integer(), detail: Type.Optional(Type.String()) },
        { ...closed, description: 'One per settlement, in order.' },
      ),
    ),
  },
  closed,
);

/**
 * `POST /v1/reservations/{id}/settle`, `/extend`, `/cancel` and `POST /v1/reservations/settle`: change reservations that a
 * check has made. A settlement may be repeated, and may come after the reservation has expired.
 */
export function registerReservations(app: ApiServer, options: ApiOptions): void {
  const route = (
    action: 'settle' | 'extend' | 'cancel',
    body: typeof settleBody | typeof extendBody | typeof cancelBody,
    summary: string,
    description: string,
  ): void => {
    app.post(
      `/v1/reservations/:id/${action}`,
      {
        config: { access: 'credential', work: 'events' },
        schema: {
          operationId: `${action}Reservation`,
          tags: ['Decisions'],
          summary,
          description,
          params: Type.Object({ id: idSchema }),
          body,
          response: { 200: changedAnswer },
          problems: [403, 404, 409],
        },
      },
      async (request, reply) => {
        await changeOne(request, reply, options, action);
        return reply;
      },
    );
  };
  route(
    'settle',
    settleBody,
    'Settle a reservation',
    'Replaces the reserved amounts by the actual ones. Repeating it changes nothing; another settlement replaces this one.',
  );
  route(
    'extend',
    extendBody,
    'Extend a reservation',
    'Reserves more if every limit has room; otherwise 429, and the reservation stays as it is.',
  );
  route('cancel', cancelBody, 'Cancel a reservation', 'Returns everything that the check has charged.');
  registerBatch(app, options);
}

type AnyBody = Static<typeof settleBody> & Static<typeof extendBody>;

async function changeOne(
  request: FastifyRequest,
  reply: FastifyReply,
  options: ApiOptions,
  action: ReservationChange['action'],
): Promise<FastifyReply> {
  const body = request.body as AnyBody;
  const { id } = request.params as { id: string };
  const tenantId = tenantOf(request, reply, body.tenant_id);
  if (tenantId === null || !(await admitChanges(request, reply, options, 1))) return reply;
  const outcome = await changeReservation(
    sourceOf(request, reply, options, tenantId),
    changeOf(action, id, body),
  );
  const problem = problemOfChange(outcome);
  if (problem === null && outcome.kind === 'changed') {
    const { state, amounts, result, pricing } = outcome;
    return reply.send({ id, state, amounts: decimalAmounts(pricing.quantities, amounts), result });
  }
  if (outcome.kind === 'unavailable') void reply.header('retry-after', '1');
  sendProblem(reply, problem ?? plainProblem(500, 'Something went wrong here.'));
  return reply;
}

function registerBatch(app: ApiServer, options: ApiOptions): void {
  app.post(
    '/v1/reservations/settle',
    {
      config: { access: 'credential', work: 'events' },
      schema: {
        operationId: 'settleReservations',
        tags: ['Decisions'],
        summary: 'Settle many reservations',
        description: 'Each settlement succeeds or fails for itself: see the status of each result.',
        body: batchBody,
        response: { 200: batchAnswer },
        problems: [403],
      },
    },
    async (request, reply) => {
      const { tenant_id: named, settlements } = request.body;
      const tenantId = tenantOf(request, reply, named);
      if (tenantId === null || !(await admitChanges(request, reply, options, settlements.length)))
        return reply;
      const source = sourceOf(request, reply, options, tenantId);
      const outcomes = await Promise.all(
        settlements.map(({ id, ...body }) => changeReservation(source, changeOf('settle', id, body))),
      );
      const results = outcomes.map((outcome, index) => {
        const problem = problemOfChange(outcome);
        const id = settlements[index]?.id ?? '';
        return problem === null
          ? { id, status: 200 }
          : { id, status: problem.status, detail: problem.detail };
      });
      return reply.send({ results });
    },
  );
}

function sourceOf(
  request: FastifyRequest,
  reply: FastifyReply,
  { enforcer, queries }: ApiOptions,
  tenantId: string,
): ChangeSource {
  const clickhouse = queries.of(tenantId, disconnectSignal(reply));
  return { enforcer, caller: callerOf(request), tenantId, clickhouse };
}

function changeOf(
  action: ReservationChange['action'],
  id: string,
  { usage = {}, model, status, latency_ms: latencyMs }: Partial<AnyBody>,
): ReservationChange {
  const response = status === undefined ? null : { status, latencyMs: latencyMs ?? 0 };
  return { action, id, usage, model: model ?? null, response };
}

/** Approximate size in bytes of the event of a change in Kafka. */
const changeBytes = 700;

/** Charges the changes like published events. Returns false after a problem was sent. */
async function admitChanges(
  request: FastifyRequest,
  reply: FastifyReply,
  { enforcer, ingestShare }: ApiOptions,
  count: number,
): Promise<boolean> {
  const bytes = count * changeBytes;
  if (!(await chargeWork(enforcer, request, reply, { kind: 'eventBytes', units: bytes }))) return false;
  if (!(await chargeWork(enforcer, request, reply, { kind: 'events', units: count }))) return false;
  if (ingestShare.isDurable() && ingestShare.admits(shareOf(callerOf(request)), bytes)) return true;
  void reply.header('retry-after', '5');
  sendProblem(reply, plainProblem(503, 'This node stores no further events now; send it again.'));
  return false;
}

function problemOfChange(outcome: ReservationOutcome): Problem | null {
  switch (outcome.kind) {
    case 'changed':
      return null;
    case 'invalid':
      return plainProblem(400, outcome.detail);
    case 'forbidden':
      return plainProblem(
        403,
        'Only a service may change this reservation: the gateway made it for a call of yours.',
      );
    case 'unknown':
      return plainProblem(
        404,
        'No reservation of this tenant has this id, or it was made more than a day ago.',
      );
    case 'conflict':
      return plainProblem(409, outcome.detail);
    case 'refused':
      return plainProblem(429, outcome.detail);
    case 'unavailable':
      return plainProblem(503, 'The reservation cannot be read now; send it again.');
  }
}

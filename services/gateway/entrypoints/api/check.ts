import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { Type } from 'typebox';
import type { Static, TSchema } from 'typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { problemOfId, problemOfTenantId } from '../../../../shared/domain/identity.ts';
import type { Identity } from '../../../../shared/domain/identity.ts';
import { percentEncoded } from '../../../../shared/domain/request/request-target.ts';
import type { ApiServer } from './api-server.ts';
import { chargeWork, oneRequest } from './charging.ts';
import { callerOf, problemOfUser } from './caller.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { limitHeaders, retryAfterSeconds } from '../../responses/limit-headers.ts';
import { plainProblem, problemOf, sendProblem } from '../../responses/problem.ts';
import { passes } from '../../enforcer/verdict.ts';
import type { Verdict } from '../../enforcer/verdict.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import { decimalAmounts } from '../../../../shared/domain/usage/quantity.ts';
import type { Reserve } from '../../reservations/reserved-call.ts';
import { readStatedReserve } from '../../reservations/stated-usage.ts';
import { limitViewSchema, limitViews } from './response-schemas.ts';
import { amountsSchema, modelSchema, usageSchema } from './reservations/usage-schemas.ts';

/**
 * Schema of a member that may be absent or null. Both mean the same, because many clients send null for an absent
 * value.
 */
const optional = <Schema extends TSchema>(schema: Schema) => Type.Optional(Type.Union([schema, Type.Null()]));

const reserveSchema = Type.Object(
  {
    usage: usageSchema,
    model: optional(modelSchema),
    id: optional(
      Type.String({
        pattern: '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$',
        description:
          'Id of the reservation; a repeated check with the same id reserves once. Absent: the decision id.',
      }),
    ),
    expires_seconds: optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        description:
          'Time until the reservation counts as expired if it is not settled; absent: as in the policy.',
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'Amounts to reserve until the usage of the call is known. They are part of the decision.',
  },
);

const bodySchema = Type.Object(
  {
    tenant_id: optional(Type.String({ description: 'Tenant of the request; a tenant may omit it.' })),
    user: optional(
      Type.String({
        description: "A tenant's API key may name users of its tenant; a user's token its own user only.",
      }),
    ),
    ip: optional(
      Type.String({ description: 'For services: address of the client, for limits that count addresses.' }),
    ),
    plan: optional(
      Type.String({ description: "For services: the plan, where the tenant's record names none." }),
    ),
    method: Type.String({ pattern: '^[A-Z]([A-Z-]{0,30}[A-Z])?$' }),
    path: Type.String({
      pattern: '^(/|https?://|\\*$)',
      maxLength: 16_384,
      description: 'The request-target as the client sent it, with or without query.',
    }),
    cost: optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000_000,
        description: 'Units; absent: the cost of the route.',
      }),
    ),
    attributes: optional(
      Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,47}$' }), Type.String({ maxLength: 1_024 }), {
        maxProperties: 9,
        description: 'For services: attributes of the request that limits count, by name.',
      }),
    ),
    peek: optional(Type.Boolean({ description: 'Read the limits without charging them.' })),
    reserve: optional(reserveSchema),
  },
  {
    additionalProperties: false,
    examples: [
      { tenant_id: 'acme', user: 'u1', method: 'POST', path: '/agent/chat' },
      {
        tenant_id: 'acme',
        method: 'POST',
        path: '/v1/chat/completions',
        reserve: { model: 'gpt-4o-mini', usage: { input_tokens: 120, output_tokens: 1000 } },
      },
    ],
  },
);

const answerSchema = Type.Object({
  allowed: Type.Boolean(),
  decision_id: Type.String(),
  outcome: Type.String({ description: 'allowed, limited, bypassed or shadow_limited' }),
  limited_by: Type.Array(Type.String()),
  limits: Type.Array(limitViewSchema),
  retry_after_seconds: Type.Optional(Type.Integer()),
  delay_ms: Type.Integer({ description: 'Delay before the request is to be served.' }),
  degraded: Type.Boolean({ description: 'Decided without Redis.' }),
  headers: Type.Record(Type.String(), Type.String(), {
    description: 'Set these on the response to the client.',
  }),
  reservation: Type.Optional(
    Type.Object(
      {
        id: Type.String({ description: 'For settle, extend and cancel.' }),
        amounts: amountsSchema,
        expires_at: Type.String({ format: 'date-time' }),
        repeated: Type.Boolean({
          description: 'An earlier check made this reservation; nothing was charged now.',
        }),
      },
      { description: 'What was reserved; absent if the request was refused or reserved nothing.' },
    ),
  ),
  problem: Type.Optional(
    Type.Object(
      {},
      { additionalProperties: true, description: 'Body and status of the response to the client.' },
    ),
  ),
});

/**
 * `POST /v1/check`: decides about a request that the calling application serves. The response to a refused request also
 * has the status 200; its body contains the refusal.
 */
export function registerCheck(app: ApiServer, enforcer: Enforcer): void {
  app.post(
    '/v1/check',
    {
      config: { access: 'credential', work: 'decision' },
      schema: {
        operationId: 'check',
        tags: ['Decisions'],
        summary: 'Decide without proxying',
        description:
          'Decides about a request that the caller serves. A refusal is a value here: the status is 200.',
        body: bodySchema,
        response: { 200: answerSchema },
        problems: [403],
      },
    },
    async (request, reply) => {
      const startedAt = performance.now();
      const { body } = request;
      const identity = checkedIdentity(request, reply, body);
      if (identity === null) return reply;
      // A peek consumes no units of the plan. It counts as one call of the api listener, so that peeks are limited too.
      if (body.peek === true && !(await chargeWork(enforcer, request, reply, oneRequest))) return reply;
      const reserve = reserveOf(enforcer.policy(), callerOf(request), body.reserve ?? null);
      if (typeof reserve === 'string') {
        sendProblem(reply, plainProblem(400, reserve));
        return reply;
      }
      const verdict = await enforcer.decide({
        caller: { identity, rejection: null },
        // Without `ip`, the address is that of the application, not of its client.
        ...(typeof body.ip === 'string' ? {} : { exemptBy: 'route' }),
        traceHeaders: request.headers,
        receivedAt: startedAt,
        ...(reserve === null ? {} : { reserve }),
        method: body.method,
        url: percentEncoded(body.path),
        cost: body.cost ?? null,
        peek: body.peek ?? false,
        hold: false,
        plan: body.plan ?? null,
        ...(typeof body.attributes === 'object' && body.attributes !== null
          ? { attributes: body.attributes }
          : {}),
      });
      request.verdict = verdict;
      if (body.peek !== true) {
        const status = passes(verdict) ? 200 : problemOf(verdict).status;
        await enforcer.meter(verdict, {
          status,
          latencyMs: performance.now() - startedAt,
          entrypoint: 'check',
        });
        enforcer.checked.remember(verdict);
      }
      return answerOf(verdict);
    },
  );
}

/**
 * Returns the identity whose limits are charged, or null after a problem was sent. Because a decision consumes units, a
 * caller may charge its own limits only: a tenant's credential may name its tenant and the users of this tenant, and a
 * user's token may name its user. Only services may send `ip` and `plan`: all tenants share addresses, and a tenant's
 * plan comes from its record or token.
 */
function checkedIdentity(
  request: FastifyRequest,
  reply: FastifyReply,
  body: Static<typeof bodySchema>,
): Identity | null {
  const caller = callerOf(request);
  const refuse = (status: number, detail: string): null => {
    sendProblem(reply, plainProblem(status, detail));
    return null;
  };
  const own = caller.service === null;
  const tenantId = body.tenant_id ?? caller.tenantId;
  const userId = body.user ?? (own ? caller.userId : null);
  const ip = body.ip ?? null;
  if (own) {
    if (tenantId !== caller.tenantId) return refuse(403, 'This tenant is not yours.');
    if (ip !== null) return refuse(403, 'ip is for services: an address is shared by all tenants.');
    if ((body.attributes ?? null) !== null)
      return refuse(403, 'attributes are for services: yours come from your credential.');
    if (typeof body.plan === 'string')
      return refuse(403, 'plan is for services: your plan comes from your record or token.');
  }
  const userProblem = userId === null ? null : problemOfUser(caller, userId);
  if (userProblem !== null) return refuse(userProblem.status, userProblem.detail);
  const wrongTenant = tenantId === null ? null : problemOfTenantId(tenantId);
  if (wrongTenant !== null) return refuse(400, `tenant_id ${wrongTenant}.`);
  const wrongUser = userId === null ? null : problemOfId(userId);
  if (wrongUser !== null) return refuse(400, `user ${wrongUser}.`);
  if (ip !== null && isIP(ip) === 0) return refuse(400, 'ip is not an address.');
  if (tenantId === null && userId === null && ip === null) {
    return refuse(400, 'Name the caller of the request: add tenant_id, user or ip.');
  }
  const address = ip === null ? caller.ip : ipaddr.process(ip).toString();
  return { ...caller, tenantId, userId, ip: address, service: null };
}

/** Returns what the check reserves; null if nothing, or a sentence if the usage cannot be read. */
function reserveOf(
  policy: Policy,
  caller: Identity,
  stated: Static<typeof reserveSchema> | null,
): Reserve | string | null {
  if (stated === null) return null;
  const { usage, model, id, expires_seconds: seconds } = stated;
  const reserve = readStatedReserve(
    policy,
    {
      usage,
      ...(typeof model === 'string' ? { model } : {}),
      ...(typeof seconds === 'number' ? { expiresMs: seconds * 1000 } : {}),
    },
    caller.service === null ? 'tenant' : 'service',
  );
  return typeof reserve === 'string' || typeof id !== 'string' ? reserve : { ...reserve, id };
}

function reservationOf({ reservation }: Verdict): Pick<Static<typeof answerSchema>, 'reservation'> {
  if (reservation === null) return {};
  const { call, reserve, pricing, repeated } = reservation;
  return {
    reservation: {
      id: reserve.id ?? call.decisionId,
      amounts: decimalAmounts(pricing.quantities, reserve.amounts),
      expires_at: new Date(call.timeMs + reserve.expiresMs).toISOString(),
      repeated,
    },
  };
}

function answerOf(verdict: Verdict): Static<typeof answerSchema> {
  const { decision } = verdict;
  const seconds = retryAfterSeconds(decision.retryAfterMs);
  const allowed = passes(verdict);
  return {
    allowed,
    decision_id: decision.id,
    outcome: decision.outcome,
    limited_by: [...decision.limitedBy],
    limits: limitViews(decision.limits, verdict.policy),
    ...(allowed || seconds === null ? {} : { retry_after_seconds: seconds }),
    delay_ms: decision.delayMs,
    degraded: decision.degraded,
    headers: limitHeaders(verdict),
    ...reservationOf(verdict),
    ...(allowed ? {} : { problem: problemOf(verdict) }),
  };
}

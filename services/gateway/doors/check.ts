import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { problemOfId, problemOfTenantId } from '../../../shared/domain/identity.ts';
import type { Identity } from '../../../shared/domain/identity.ts';
import type { ApiServer } from '../api-server.ts';
import { callerOf, sendProblem } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { limitHeaders, retryAfterSeconds } from '../headers.ts';
import { plainProblem, problemOf } from '../problem.ts';
import { passes } from '../verdict.ts';
import type { Verdict } from '../verdict.ts';
import { limitViewSchema, limitViews } from './limit-view.ts';

const bodySchema = Type.Object(
  {
    tenant_id: Type.Optional(Type.String({ description: 'Whose request it is; a tenant may leave it out.' })),
    user: Type.Optional(Type.String()),
    ip: Type.Optional(
      Type.String({ description: 'Address of the client, for limits that count addresses.' }),
    ),
    plan: Type.Optional(
      Type.String({ description: "For services: the plan, where the tenant's record names none." }),
    ),
    method: Type.String({ pattern: '^[A-Z]{1,32}$' }),
    path: Type.String({ pattern: '^/', maxLength: 8_192 }),
    cost: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000_000,
        description: 'Units; absent: what the route costs.',
      }),
    ),
    peek: Type.Optional(Type.Boolean({ description: 'Look without taking.' })),
  },
  { additionalProperties: false },
);

const answerSchema = Type.Object({
  allowed: Type.Boolean(),
  decision_id: Type.String(),
  outcome: Type.String({ description: 'allowed, limited, bypassed or shadow_limited' }),
  limited_by: Type.Array(Type.String()),
  limits: Type.Array(limitViewSchema),
  retry_after_seconds: Type.Optional(Type.Integer()),
  delay_ms: Type.Integer({ description: 'How long to hold the request back before serving it.' }),
  degraded: Type.Boolean({ description: 'Decided without Redis.' }),
  headers: Type.Record(Type.String(), Type.String(), {
    description: 'To be set on the response to the client.',
  }),
  problem: Type.Optional(
    Type.Object({}, { additionalProperties: true, description: 'The body of the 429 to answer with.' }),
  ),
});

/** `POST /v1/check`: decides about a request that somebody else serves. A refusal is a value here: the status is 200. */
export function registerCheck(app: ApiServer, gate: Gate): void {
  app.post(
    '/v1/check',
    { schema: { summary: 'Decide without proxying', body: bodySchema, response: { 200: answerSchema } } },
    async (request, reply) => {
      const startedAt = performance.now();
      const { body } = request;
      const identity = checkedIdentity(request, reply, body);
      if (identity === null) return reply;
      const verdict = await gate.decide({
        who: { identity, refusal: null },
        method: body.method,
        url: body.path,
        cost: body.cost ?? null,
        peek: body.peek ?? false,
        hold: false,
        plan: request.caller?.identity.service === null ? null : (body.plan ?? null),
      });
      request.verdict = verdict;
      if (body.peek !== true) {
        const status = passes(verdict) ? 200 : 429;
        await gate.meter(verdict, { status, latencyMs: performance.now() - startedAt, door: 'check' });
      }
      return answerOf(verdict);
    },
  );
}

/** Whose limits count: a tenant's caller speaks for its tenant only; a service for anybody, with a tenant or an address. */
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
  if (own && body.tenant_id !== undefined && body.tenant_id !== caller.tenantId)
    return refuse(403, 'This tenant is not yours.');
  const tenantId = body.tenant_id ?? caller.tenantId;
  const userId = body.user ?? (own ? caller.userId : null);
  const wrongTenant = tenantId === null ? null : problemOfTenantId(tenantId);
  if (wrongTenant !== null) return refuse(400, `tenant_id ${wrongTenant}.`);
  const wrongUser = userId === null ? null : problemOfId(userId);
  if (wrongUser !== null) return refuse(400, `user ${wrongUser}.`);
  if (body.ip !== undefined && isIP(body.ip) === 0) return refuse(400, 'ip is not an address.');
  if (tenantId === null && userId === null && body.ip === undefined) {
    return refuse(400, 'Say whose request it is: add tenant_id, user or ip.');
  }
  const ip = body.ip === undefined ? caller.ip : ipaddr.process(body.ip).toString();
  return { ...caller, tenantId, userId, ip, service: null };
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
    limits: limitViews(decision.limits),
    ...(allowed || seconds === null ? {} : { retry_after_seconds: seconds }),
    delay_ms: decision.delayMs,
    degraded: decision.degraded,
    headers: limitHeaders(verdict),
    ...(allowed ? {} : { problem: problemOf(verdict) }),
  };
}

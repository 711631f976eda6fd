import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiLimits } from '../../shared/domain/policy.ts';
import { apiLimitsFor } from '../../shared/policy/match.ts';
import type { ApiServer } from './api-server.ts';
import { sendProblem } from './caller.ts';
import type { Gate } from './gate.ts';
import type { Identified } from './identify.ts';
import { problemOf } from './problem.ts';
import { passes } from './verdict.ts';
import type { Verdict } from './verdict.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `decision`: the call is charged to the limits it asks about. Otherwise it is charged as work on the api. */
    work?: 'decision';
  }
}

/** Units of one kind of work. */
export interface Work {
  readonly kind: keyof ApiLimits;
  readonly units: number;
}

/**
 * Charges every call of the api listener to its caller before its body is read, unknown paths included: a tenant, or the
 * address where there is none. A block of the tenant refuses here too. Services are the operator's own and pass; bad
 * credentials are refused before.
 */
export function chargeApiRequests(app: ApiServer, gate: Gate): void {
  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.config.work === 'decision') return;
    if (!(await chargeWork(gate, request, reply, [{ kind: 'requests', units: 1 }]))) return reply;
  });
}

/** Charges all of it or nothing. False where the answer is sent: the caller is over a limit of its own work, or blocked. */
export async function chargeWork(
  gate: Gate,
  request: FastifyRequest,
  reply: FastifyReply,
  work: readonly Work[],
): Promise<boolean> {
  const { caller } = request;
  if (caller === null || caller.refusal !== null || caller.identity.service !== null) return true;
  const verdicts = await Promise.all(work.map((one) => decideWork(gate, caller, one)));
  const refusal = verdicts.find((verdict) => !passes(verdict));
  const result = refusal === undefined ? 'allowed' : 'limited';
  for (const { kind, units } of work) gate.metrics.apiWork.inc({ kind, result }, units);
  if (refusal === undefined) return true;
  await Promise.all(verdicts.filter(passes).map((verdict) => gate.refund(verdict, false)));
  request.verdict = refusal;
  sendProblem(reply, problemOf(refusal));
  return false;
}

function decideWork(gate: Gate, who: Identified, { kind, units }: Work): Promise<Verdict> {
  const { tenantId, planClaim } = who.identity;
  const record = tenantId === null ? null : (gate.records.get(tenantId) ?? null);
  const applicable = apiLimitsFor(gate.policy(), kind, {
    plan: planClaim,
    record,
    nowMs: gate.clock.now(),
  });
  const question = { method: '', url: '/', cost: units, peek: false, hold: false, plan: null };
  return gate.decide({ who, ...question, applicable });
}

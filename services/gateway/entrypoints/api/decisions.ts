import { Type } from 'typebox';
import { disconnectSignal } from '../../../../shared/runtime/http/disconnect-signal.ts';
import { decisionById } from '../../../../shared/clickhouse/queries/usage.ts';
import type { UsageEventRow } from '../../../../shared/clickhouse/queries/usage.ts';
import type { Limit } from '../../../../shared/domain/limit.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import type { ApiOptions, ApiServer } from './api-server.ts';
import { callerOf } from './caller.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { plainProblem, problemOf, sendProblem, sendReadFailure } from '../../responses/problem.ts';
import type { Verdict } from '../../enforcer/verdict.ts';
import { decisionResponse } from './response-schemas.ts';
import { limitViews } from './response-schemas.ts';
import { limitRule } from './limits.ts';

const paramsSchema = Type.Object({ id: Type.String({ maxLength: 64 }) });

/**
 * `GET /v1/decisions/{id}` explains a decision by its event, counters and rules. A tenant may read its own decisions, a
 * service may read all. If this node made the decision recently, the counters are those of the decision; else they are
 * the current counters. The member `as_of` states which.
 */
export function registerDecisions(app: ApiServer, { enforcer, queries }: ApiOptions): void {
  app.get(
    '/v1/decisions/:id',
    {
      schema: {
        operationId: 'getDecision',
        tags: ['Decisions'],
        summary: 'Explain a decision',
        description: 'The event, the counters and the rules behind a decision.',
        params: paramsSchema,
        response: { 200: decisionResponse },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const { id } = request.params;
      const mayRead = (tenantId: string | null): boolean =>
        caller.service !== null || (tenantId !== null && tenantId === caller.tenantId);
      const verdict = enforcer.recent.find(id);
      let event: UsageEventRow | null = null;
      let failure: unknown = null;
      try {
        event = await decisionById(queries.of(caller.tenantId ?? '', disconnectSignal(reply)), id);
      } catch (error) {
        failure = error;
      }
      if (verdict !== null && mayRead(verdict.identity.tenantId)) return explainVerdict(verdict, event);
      if (event !== null && mayRead(event.tenant_id)) return explainEvent(enforcer, event);
      if (failure !== null) return sendReadFailure(reply, failure, 'The history');
      sendProblem(
        reply,
        plainProblem(404, 'No decision of yours has this id. A new one can be found within two seconds.'),
      );
      return reply;
    },
  );
}

function explainVerdict(verdict: Verdict, event: UsageEventRow | null): object {
  const { decision, identity, policy, plan, route, limits, units, method, path, atMs } = verdict;
  return {
    decision_id: decision.id,
    at: new Date(atMs).toISOString(),
    tenant_id: identity.tenantId,
    user: identity.userId,
    plan: plan.name,
    request: {
      method,
      path,
      route: route?.match ?? null,
      units,
      client_ip: identity.ip,
    },
    outcome: decision.outcome,
    reason: decision.reason,
    explanation: decision.outcome === 'limited' ? problemOf(verdict).detail : 'The request passed.',
    limited_by: decision.limitedBy,
    degraded: decision.degraded,
    counters: { as_of: 'decision', limits: limitViews(decision.limits, policy) },
    rules: rulesBehind(limits, platformLimits(policy), decision.limitedBy),
    policy_revision: policy.revision,
    event,
  };
}

/**
 * Explains a decision from its stored event. Counters and rules are the current ones, which may differ from those at
 * the time of the decision.
 */
async function explainEvent(enforcer: Enforcer, event: UsageEventRow): Promise<object> {
  const identity = {
    tenantId: event.tenant_id,
    userId: event.user_id === '' ? null : event.user_id,
    planClaim: event.plan,
    ip: event.client_ip,
    service: null,
    method: 'jwt' as const,
  };
  const decisionRequest = {
    method: event.method,
    url: event.path,
    rewritten: true,
    cost: null,
    peek: true,
    hold: false,
    plan: event.plan,
    exemptBy: 'nothing' as const,
  };
  const current = await enforcer.decide({ caller: { identity, rejection: null }, ...decisionRequest });
  return {
    decision_id: event.event_id,
    at: event.time,
    tenant_id: event.tenant_id,
    user: identity.userId,
    plan: event.plan,
    request: {
      method: event.method,
      path: event.path,
      route: event.route === '*' ? null : event.route,
      units: event.units,
      client_ip: event.client_ip,
    },
    outcome: event.decision,
    reason: event.decision === 'limited' ? reasonOf(event.limited_by) : null,
    explanation: explanationOf(event),
    limited_by: event.limited_by,
    degraded: event.degraded,
    counters: { as_of: 'now', limits: limitViews(current.decision.limits, current.policy) },
    rules: rulesBehind(current.limits, platformLimits(current.policy), event.limited_by),
    policy_revision: current.policy.revision,
    event,
  };
}

function platformLimits({ platform, shares }: Policy): readonly Limit[] {
  return [...platform.filter(({ type }) => type === 'concurrent'), ...shares];
}

function rulesBehind(
  limits: readonly Limit[],
  platform: readonly Limit[],
  names: readonly string[],
): object[] {
  const all = [...limits, ...platform];
  return (names.length === 0 ? limits : all.filter(({ name }) => names.includes(name))).map(limitRule);
}

const reasons = new Set(['blocked', 'unauthenticated', 'out_of_scope', 'invalid', 'unavailable']);

function reasonOf(limitedBy: readonly string[]): string {
  return limitedBy.find((name) => reasons.has(name)) ?? 'limit';
}

function explanationOf({ decision, limited_by, service }: UsageEventRow): string {
  const names = limited_by.join(', ');
  switch (decision) {
    case 'limited':
      return reasons.has(limited_by[0] ?? '')
        ? `The request was refused: ${names}.`
        : `No room was left in: ${names}.`;
    case 'shadow_limited':
      return `The request passed; enforced, it would have been refused by: ${names}.`;
    case 'bypassed':
      return service === ''
        ? 'The policy exempts the route or the address of the client from all limits.'
        : 'An internal service made the request; services are under no limit.';
    default:
      return 'The request passed.';
  }
}

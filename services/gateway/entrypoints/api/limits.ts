import { Type } from 'typebox';
import { runningBoosts } from '../../../../shared/domain/boost.ts';
import type { Limit } from '../../../../shared/domain/limit.ts';
import { limitsFor } from '../../../../shared/policy/match.ts';
import type { ApiServer } from './api-server.ts';
import { tenantOf } from './caller.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { limitsResponse } from './response-schemas.ts';

const querySchema = Type.Object({ tenant_id: Type.Optional(Type.String()) });

/**
 * `GET /v1/limits`: the limits that apply to the caller, including its overrides and running boosts. Nothing is
 * charged.
 */
export function registerLimits(app: ApiServer, enforcer: Enforcer): void {
  app.get(
    '/v1/limits',
    {
      schema: {
        operationId: 'getLimits',
        tags: ['Usage'],
        summary: 'The limits in force for the caller',
        description: 'Overrides and running boosts applied; nothing is charged.',
        querystring: querySchema,
        response: { 200: limitsResponse },
        problems: [403],
      },
    },
    (request, reply) => {
      const tenantId = tenantOf(request, reply, request.query.tenant_id);
      if (tenantId === null) return reply;
      const policy = enforcer.policy();
      const record = enforcer.records.get(tenantId) ?? null;
      const nowMs = enforcer.clock.now();
      const plan = request.caller?.identity.service === null ? request.caller.identity.planClaim : null;
      const base = limitsFor(policy, { plan, record, route: null, nowMs });
      return {
        tenant_id: tenantId,
        plan: base.plan.name,
        policy_revision: policy.revision,
        mode: policy.mode,
        limits: base.limits.map(limitRule),
        routes: policy.routes.map((route) => ({
          match: route.match,
          ...(route.exempt ? { exempt: true } : {}),
          cost: route.cost,
          price: route.price,
          limits: limitsFor(policy, { plan, record, route, nowMs })
            .limits.filter((limit) => limit.route !== null)
            .map(limitRule),
        })),
        sessions: [...policy.sessions.values()].map(({ name, per, limit, ttlMs }) => ({
          kind: name,
          per,
          limit,
          ttl_seconds: ttlMs / 1000,
        })),
        platform: policy.platform.map(limitRule),
        slow_down:
          base.plan.slowDown === null
            ? null
            : { from: base.plan.slowDown.from, max_delay_ms: base.plan.slowDown.maxDelayMs },
        boosts: runningBoosts(record, nowMs).map(({ limit, multiply, set_to, ends_at, reason }) => ({
          limit,
          multiply,
          set_to,
          ends_at,
          reason,
        })),
        documentation_url: policy.links.documentation,
        upgrade_url: policy.links.upgrade,
      };
    },
  );
}

/** Returns the policy's rule for a limit, with the value that applies to this tenant. */
export function limitRule({
  name,
  per,
  type,
  limit,
  windowMs,
  period,
  billingDay,
  burst,
  mode,
  route,
}: Limit): object {
  return {
    name,
    per,
    type,
    limit,
    window_seconds: Math.ceil(windowMs / 1000),
    ...(period === null ? {} : { period }),
    ...(billingDay === undefined ? {} : { billing_day: billingDay }),
    ...(burst === 0 ? {} : { burst }),
    mode,
    ...(route === null ? {} : { route }),
  };
}

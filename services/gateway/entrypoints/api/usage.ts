import { LRUCache } from 'lru-cache';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { completeThrough, todayTotals } from '../../../../shared/clickhouse/queries/usage.ts';
import type { ClickHouseReader } from '../../../../shared/clickhouse/client.ts';
import { periodAt } from '../../../../shared/domain/time/calendar.ts';
import { withJsonCost } from '../../../../shared/domain/money.ts';
import { messageOf } from '../../../../shared/runtime/errors.ts';
import type { ApiOptions, ApiServer } from './api-server.ts';
import { tenantOf } from './caller.ts';
import { limitViewSchema, limitViews } from './response-schemas.ts';

const querySchema = Type.Object({ tenant_id: Type.Optional(Type.String()) });

const todaySchema = Type.Object({
  requests: Type.Number(),
  allowed: Type.Number(),
  limited: Type.Number(),
  units: Type.Union([Type.Number(), Type.Null()], {
    description: 'Null where what is stored adds up to no number.',
  }),
  cost: Type.Number({
    description: 'Exact: a decimal with all its digits, up to 12 of them behind the point.',
  }),
});

const answerSchema = Type.Object({
  tenant_id: Type.String(),
  plan: Type.String(),
  limits: Type.Array(limitViewSchema, { description: 'As Redis has them now.' }),
  degraded: Type.Boolean({ description: 'Redis did not answer: the limits are what this node knows.' }),
  today: Type.Union([todaySchema, Type.Null()], {
    description: "As ClickHouse has it; null where it didn't answer.",
  }),
  complete_through: Type.Union([Type.String(), Type.Null()], {
    description: 'Every event that was published before this time is counted in today.',
  }),
  today_unavailable: Type.Optional(Type.String({ description: 'Why today is null.' })),
});

type Today = Pick<Static<typeof answerSchema>, 'today' | 'complete_through' | 'today_unavailable'>;

/** A dashboard that polls costs one query a second and tenant, however many look. */
const cacheAgeMs = 1_000;
const cachedTenantsMax = 1_000;

/** `GET /v1/usage`: how the caller's limits stand now, and what today has come to. A failed read is said, never a zero. */
export function registerUsage(app: ApiServer, { enforcer, queries }: ApiOptions): void {
  const recent = new LRUCache<string, Promise<Today>>({ max: cachedTenantsMax, ttl: cacheAgeMs });
  app.get(
    '/v1/usage',
    {
      schema: {
        operationId: 'getUsage',
        tags: ['Usage'],
        summary: "The caller's usage",
        description: 'How the limits stand, and what today has come to. A failed read is said, never a zero.',
        querystring: querySchema,
        response: { 200: answerSchema },
        problems: [403],
      },
    },
    async (request, reply) => {
      const tenantId = tenantOf(request, reply, request.query.tenant_id);
      if (tenantId === null || request.caller === null) return reply;
      const { identity } = request.caller;
      const caller = { identity: { ...identity, tenantId, service: null }, rejection: null };
      const zone = enforcer.records.get(tenantId)?.time_zone ?? null;
      let today = recent.get(tenantId);
      if (today === undefined)
        recent.set(tenantId, (today = readToday(queries.of(tenantId), tenantId, zone, enforcer.clock.now())));
      const [verdict, read] = await Promise.all([
        enforcer.decide({ caller, method: '', url: '/', cost: null, peek: true, hold: false, plan: null }),
        today,
      ]);
      if (read.today === null) recent.delete(tenantId);
      return {
        tenant_id: tenantId,
        plan: verdict.plan.name,
        limits: limitViews(verdict.decision.limits),
        degraded: verdict.decision.degraded,
        ...read,
      };
    },
  );
}

async function readToday(
  clickhouse: ClickHouseReader,
  tenantId: string,
  zone: string | null,
  nowMs: number,
): Promise<Today> {
  try {
    // Read before the totals, so that it never promises more than they hold.
    const through = await completeThrough(clickhouse);
    const today = await todayTotals(clickhouse, tenantId, periodAt('day', zone, nowMs));
    return { today: withJsonCost(today), complete_through: through };
  } catch (error) {
    return {
      today: null,
      complete_through: null,
      today_unavailable: `ClickHouse did not answer: ${messageOf(error)}`,
    };
  }
}

import { LRUCache } from 'lru-cache';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { completeThrough, todayTotals } from '../../../../shared/clickhouse/queries/usage.ts';
import type { ClickHouseReader } from '../../../../shared/clickhouse/client.ts';
import { calendarOf } from '../../../../shared/domain/quota.ts';
import { periodAt } from '../../../../shared/domain/time/calendar.ts';
import { jsonAmounts, withJsonCost } from '../../../../shared/domain/money.ts';
import { messageOf } from '../../../../shared/runtime/errors.ts';
import type { ApiOptions, ApiServer } from './api-server.ts';
import { tenantOf } from './caller.ts';
import { nothingReserved } from '../../reservations/reserved-call.ts';
import { limitUseSchema, limitUses } from './response-schemas.ts';

const querySchema = Type.Object({ tenant_id: Type.Optional(Type.String()) });

const todaySchema = Type.Object({
  requests: Type.Number(),
  allowed: Type.Number(),
  limited: Type.Number(),
  units: Type.Union([Type.Number(), Type.Null()], {
    description: 'Null where the stored units have no sum.',
  }),
  cost: Type.Number({
    description: 'Exact: a decimal with all its digits, up to 12 of them behind the point.',
  }),
  quantities: Type.Record(Type.String(), Type.Number(), {
    description:
      'Amounts by quantity, e.g. tokens, in its unit: used and reserved together. Exact like cost.',
  }),
  reserved: Type.Record(Type.String(), Type.Number(), {
    description: 'The part of quantities that belongs to calls in progress and to expired reservations.',
  }),
});

const answerSchema = Type.Object({
  tenant_id: Type.String(),
  plan: Type.String(),
  limits: Type.Array(limitUseSchema, { description: 'Their current state in Redis.' }),
  degraded: Type.Boolean({
    description: 'Redis did not respond: the limits are those that this node counts.',
  }),
  today: Type.Union([todaySchema, Type.Null()], {
    description: "Totals of ClickHouse; null where it didn't respond.",
  }),
  complete_through: Type.Union([Type.String(), Type.Null()], {
    description: 'Every event that was published before this time is counted in today.',
  }),
  today_unavailable: Type.Optional(Type.String({ description: 'Why today is null.' })),
});

type Today = Pick<Static<typeof answerSchema>, 'today' | 'complete_through' | 'today_unavailable'>;

/**
 * Totals of a tenant are cached for one second, so that all dashboards of the tenant together cost one query per
 * second.
 */
const cacheAgeMs = 1_000;
const cachedTenantsMax = 1_000;

/**
 * `GET /v1/usage`: the state of the caller's limits, and the totals of the current day. A failed read of the totals is
 * reported as an error, never as zero.
 */
export function registerUsage(app: ApiServer, { enforcer, queries }: ApiOptions): void {
  const recent = new LRUCache<string, Promise<Today>>({ max: cachedTenantsMax, ttl: cacheAgeMs });
  app.get(
    '/v1/usage',
    {
      schema: {
        operationId: 'getUsage',
        tags: ['Usage'],
        summary: "The caller's usage",
        description: "State of the limits, and today's totals. A failed read is reported, never a zero.",
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
      const calendar = calendarOf(enforcer.records.get(tenantId) ?? null);
      let today = recent.get(tenantId);
      if (today === undefined)
        recent.set(
          tenantId,
          (today = readToday(queries.of(tenantId), tenantId, calendar, enforcer.clock.now())),
        );
      const [verdict, read] = await Promise.all([
        enforcer.decide({
          caller,
          exemptBy: 'nothing',
          method: '',
          url: '/',
          cost: null,
          peek: true,
          withUse: true,
          hold: false,
          plan: null,
          reserve: nothingReserved,
        }),
        today,
      ]);
      if (read.today === null) recent.delete(tenantId);
      return {
        tenant_id: tenantId,
        plan: verdict.plan.name,
        limits: limitUses(verdict.decision.limits, verdict.policy),
        degraded: verdict.decision.degraded,
        ...read,
      };
    },
  );
}

async function readToday(
  clickhouse: ClickHouseReader,
  tenantId: string,
  calendar: string | null,
  nowMs: number,
): Promise<Today> {
  try {
    // `complete_through` is read before the totals, so that the totals include every event up to that time.
    const through = await completeThrough(clickhouse);
    const today = await todayTotals(clickhouse, tenantId, periodAt('day', calendar, nowMs));
    const { quantities, reserved, ...counts } = today;
    const amounts = { quantities: jsonAmounts(quantities), reserved: jsonAmounts(reserved) };
    return { today: { ...withJsonCost(counts), ...amounts }, complete_through: through };
  } catch (error) {
    return {
      today: null,
      complete_through: null,
      today_unavailable: `ClickHouse did not respond: ${messageOf(error)}`,
    };
  }
}

import { completeFrom } from '../../../shared/clickhouse/queries/installation/event-retention.ts';
import type { UsageEventRow } from '../../../shared/clickhouse/queries/usage.ts';
import type { Limit } from '../../../shared/domain/limit.ts';
import { jsonMoney } from '../../../shared/domain/money.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { calendarOf } from '../../../shared/domain/quota.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { periodAt, zoneNamed } from '../../../shared/domain/time/calendar.ts';
import { windowOfLimit } from '../../../shared/domain/time/format-duration.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { sendProblem } from '../../../shared/runtime/http/problem.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { counterQuery, isRecorded, passTimeMs } from '../../../shared/tenants/decisions/counters-then.ts';
import { explainRefusal } from '../../../shared/tenants/decisions/explain-refusal.ts';
import type { PeriodUse, UsageReader } from '../../../shared/tenants/usage-reader.ts';
import type { AdminApp } from '../answer.ts';
import { recordedOperations } from './operations.ts';

export interface RecordedOptions {
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly policy: () => Policy;
  readonly usage: UsageReader;
  readonly clock: Clock;
}

const secondsDefault = 600;

/** Reads recorded usage: the latest events, one decision with its explanation, the usage of one tenant. */
export function registerRecorded(app: AdminApp, options: RecordedOptions): void {
  const { usage, clock } = options;
  app.get('/admin/v1/events', { schema: recordedOperations.events }, async (request) => {
    const { tenant_id: tenantId, over_limit: overLimitOnly, limit = 50 } = request.query;
    const sinceMs = clock.now() - (request.query.seconds ?? secondsDefault) * 1000;
    const found = await usage.recentEvents({ tenantId, overLimitOnly, sinceMs }, limit + 1);
    return { events: found.slice(0, limit).map(jsonEvent), more: found.length > limit };
  });
  app.get(
    '/admin/v1/decisions/:decisionId',
    { schema: recordedOperations.decision },
    async (request, reply) => {
      const event = await usage.decision(request.params.decisionId);
      if (event === null)
        return sendProblem(
          reply,
          404,
          'No such decision',
          'No recorded request has this id. A new one can be found within seconds.',
        );
      return explained(options, event);
    },
  );
  app.get('/admin/v1/tenants/:id/usage', { schema: recordedOperations.usage }, async (request, reply) => {
    const { id } = request.params;
    const record = options.directory.get(id) ?? null;
    if (record === null && (await usage.seenPlan(id, clock.now())) === null)
      return sendProblem(reply, 404, 'No such tenant', 'It has no record, and no usage was recorded for it.');
    return tenantUsage(options, id, record);
  });
}

async function explained(
  { directory, policy, usage, clock }: RecordedOptions,
  event: UsageEventRow,
): Promise<object> {
  const record = directory.get(event.tenant_id) ?? null;
  const over = event.decision === 'limited' || event.decision === 'shadow_limited';
  const why = over ? explainRefusal(event, policy(), record) : null;
  const storedSinceMs = why === null ? null : await usage.eventsStoredSince(clock.now());
  const counters = await Promise.all(
    (why?.limits ?? []).map(async (limit) => {
      const query = counterQuery(limit, event, record);
      const content = isRecorded(limit) ? await usage.counterContent(event.tenant_id, query, 1) : null;
      const passMs = content === null ? null : passTimeMs(limit, content);
      return {
        ...ruleOf(limit),
        used: content?.used ?? null,
        requests: content?.requests ?? null,
        complete_from: content === null ? null : completeFrom(query.window.startMs, storedSinceMs),
        passes_at: isoOrNull(passMs),
      };
    }),
  );
  return {
    event: jsonEvent(event),
    reason: why?.reason ?? null,
    advice: why?.advice ?? null,
    latest_pass_at: isoOrNull(why?.latestPassMs ?? null),
    counters,
  };
}

function ruleOf(rule: Limit): object {
  const { name, route, limit } = rule;
  return { name, route, limit, window: windowOfLimit(rule) };
}

async function tenantUsage(
  { usage, clock }: RecordedOptions,
  id: string,
  record: TenantRecord | null,
): Promise<object> {
  const nowMs = clock.now();
  const calendar = calendarOf(record);
  const [totals, days, completeThrough] = await Promise.all([
    usage.totals(id, calendar, nowMs),
    usage.series(id, '30d', nowMs),
    usage.completeThrough(),
  ]);
  const sums = (period: 'day' | 'month', use: PeriodUse): object => ({
    starts_at: new Date(periodAt(period, calendar, nowMs).startMs).toISOString(),
    ...{ requests: use.requests, allowed: use.allowed, limited: use.limited, errors: use.errors },
    ...{ units: use.units, cost: jsonMoney(use.cost) },
  });
  return {
    tenant_id: id,
    time_zone: zoneNamed(record?.time_zone) ?? 'UTC',
    day: sums('day', totals.day),
    month: sums('month', totals.month),
    days: days.map(({ at, requests, limited, units, cost }) => ({
      ...{ day: at, requests, limited, units, cost: jsonMoney(cost) },
    })),
    complete_through: completeThrough,
  };
}

/** The fields of an event that operators need; the other fields say how it was transported. */
function jsonEvent(event: UsageEventRow): object {
  return {
    ...{ event_id: event.event_id, time: event.time, tenant_id: event.tenant_id, user_id: event.user_id },
    ...{ plan: event.plan, type: event.type, entrypoint: event.entrypoint, node: event.node },
    ...{ method: event.method, route: event.route, path: event.path, client_ip: event.client_ip },
    ...{ api_key: event.api_key, policy_revision: event.policy_revision },
    ...{ service: event.service, status: event.status, decision: event.decision },
    ...{ limited_by: event.limited_by, units: event.units, cost: event.cost },
    ...{ latency_ms: event.latency_ms, degraded: event.degraded },
  };
}

function isoOrNull(timeMs: number | null): string | null {
  return timeMs === null ? null : new Date(timeMs).toISOString();
}

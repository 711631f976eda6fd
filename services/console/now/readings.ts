import { LRUCache } from 'lru-cache';
import type { RecentCaller } from '../../../shared/clickhouse/queries/portal/recent-callers.ts';
import type { ExactAmounts } from '../../../shared/domain/events/call-usage.ts';
import type { Limit, LimitState } from '../../../shared/domain/limit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { calendarOf } from '../../../shared/domain/quota.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { readSeenPlan } from './seen-plan.ts';
import { blockNow } from '../../../shared/tenants/block.ts';
import { limitsOfTenant, unitsUsed } from '../../../shared/tenants/limits.ts';
import type { TenantLimit } from '../../../shared/tenants/limits.ts';
import type { UsageReader } from '../../../shared/tenants/usage-reader.ts';
import { createExhaustion } from './exhaustion.ts';
import type { Exhaustion } from './exhaustion.ts';
import { heaviestSubjects, wholeAccount } from './subjects.ts';
import type { LimitSubject } from './subjects.ts';

/** The state of one counter of a limit. */
export interface CounterReading {
  readonly subject: LimitSubject;
  readonly state: LimitState;
  readonly used: number;
  /** Milliseconds until the limit is used up at the recent rate; null: usage does not grow, or the rate is unknown. */
  readonly exhaustedInMs: number | null;
}

export interface LimitReading {
  readonly held: TenantLimit;
  /** A limit of the whole account has one counter. Other limits have one for each of the callers with the most requests. */
  readonly counters: readonly CounterReading[];
  /** True if the limit counts users, addresses or attributes apart. */
  readonly individual: boolean;
  /** False if the usage log does not contain what the limit counts, so that no counters can be shown. */
  readonly listed: boolean;
}

/** Current usage of a tenant, without any part that has to wait for ClickHouse. */
export interface NowReading {
  readonly plan: string;
  /** False if the plan is the default one because ClickHouse has not yet returned the plan of the tenant's requests. */
  readonly planKnown: boolean;
  /** Null: Redis did not answer. */
  readonly limits: readonly LimitReading[] | null;
  readonly block: { readonly until: string | null; readonly reason: string } | null;
  /** False: the callers were never read, because ClickHouse did not answer. */
  readonly callersKnown: boolean;
  /** Amounts of open reservations by quantity, in its own unit. */
  readonly reserved: ExactAmounts;
  /** For the names and decimals of amounts. */
  readonly units: Pick<Policy, 'quantities' | 'currency'>;
  readonly asOfMs: number;
}

export interface NowReadings {
  /** Reads the counters. Readings for the same tenant within a moment are shared by all open pages. */
  read(tenantId: string): Promise<NowReading>;
}

export interface NowSources {
  readonly limiter: Pick<Limiter, 'check'>;
  readonly usage: UsageReader;
  readonly policy: () => Policy;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly clock: Clock;
  readonly reads: StoreReads;
}

/** What is kept of a tenant while its pages are open. */
interface Watched {
  reading: { readonly atMs: number; readonly result: Promise<NowReading> } | null;
  readonly exhaustion: Exhaustion;
  seenPlan: string | null;
  callers: readonly RecentCaller[];
  /** Amounts of open reservations, by quantity. */
  reserved: ExactAmounts;
  /** True after ClickHouse has answered once. */
  known: boolean;
  refresh: Promise<void> | null;
  refreshAtMs: number;
}

const sharedForMs = 150;
const refreshIntervalMs = 3_000;
const refreshTimeoutMs = 10_000;
/** Longest time that the first reading of a tenant waits for ClickHouse. */
const firstWaitMs = 150;
const recentMs = 10 * 60_000;
const callersMax = 500;
const tenantsMax = 500;
const watchedForMs = 5 * 60_000;

export function createNowReadings(sources: NowSources): NowReadings {
  const watched = new LRUCache<string, Watched>({ max: tenantsMax, ttl: watchedForMs, updateAgeOnGet: true });
  return {
    read(tenantId) {
      let tenant = watched.get(tenantId);
      if (tenant === undefined) watched.set(tenantId, (tenant = newlyWatched()));
      const nowMs = sources.clock.now();
      const { reading } = tenant;
      if (reading !== null && Math.abs(nowMs - reading.atMs) < sharedForMs) return reading.result;
      const result = readOnce(sources, tenantId, tenant);
      tenant.reading = { atMs: nowMs, result };
      return result;
    },
  };
}

function newlyWatched(): Watched {
  return {
    reading: null,
    exhaustion: createExhaustion(),
    seenPlan: null,
    callers: [],
    reserved: {},
    known: false,
    refresh: null,
    refreshAtMs: -Infinity,
  };
}

async function readOnce(sources: NowSources, tenantId: string, tenant: Watched): Promise<NowReading> {
  const { policy, directory, clock } = sources;
  await refreshWatched(sources, tenantId, tenant);
  const nowMs = clock.now();
  const record = directory.get(tenantId) ?? null;
  const limits = limitsOfTenant(policy(), record, tenant.seenPlan, nowMs);
  const all = await Promise.all([
    ...limits.shared.map((held) => readLimit(sources, { tenantId, tenant, record, held, individual: false })),
    ...limits.individual.map((held) =>
      readLimit(sources, { tenantId, tenant, record, held, individual: true }),
    ),
  ]);
  const answered = all.filter((reading) => reading !== null);
  if (answered.length < all.length) sources.reads.countFailure('redis');
  const block = blockNow(record, nowMs);
  return {
    plan: limits.plan,
    planKnown: record?.plan !== undefined || tenant.known,
    limits: answered.length < all.length ? null : answered,
    block: block === null ? null : { until: block.until, reason: block.reason },
    callersKnown: tenant.known,
    reserved: tenant.reserved,
    units: policy(),
    asOfMs: nowMs,
  };
}

/** Reads plan and callers from ClickHouse in the background. Only the first reading of a tenant waits, for a moment. */
async function refreshWatched(sources: NowSources, tenantId: string, tenant: Watched): Promise<void> {
  const nowMs = sources.clock.now();
  if (tenant.refresh === null && nowMs >= tenant.refreshAtMs + refreshIntervalMs) {
    tenant.refreshAtMs = nowMs;
    tenant.refresh = readFromClickHouse(sources, tenantId, tenant, nowMs).finally(() => {
      tenant.refresh = null;
    });
    tenant.refresh.catch(() => undefined);
  }
  if (tenant.known || tenant.refresh === null) return;
  const { promise: waited, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, firstWaitMs, undefined);
  await Promise.race([tenant.refresh.catch(() => undefined), waited]);
  clearTimeout(timer);
}

async function readFromClickHouse(
  { usage, reads, directory, policy }: NowSources,
  tenantId: string,
  tenant: Watched,
  nowMs: number,
): Promise<void> {
  const reader = usage.ofTenant(tenantId, AbortSignal.timeout(refreshTimeoutMs));
  const [plan, callers, reserved] = await Promise.all([
    readSeenPlan({ usage: reader, reads }, { tenantId, record: directory.get(tenantId) ?? null }, nowMs),
    reads.orNull(reader.callers(tenantId, nowMs - recentMs, callersMax)),
    policy().quantities.size === 0 ? null : reads.orNull(reader.reserved(tenantId, nowMs)),
  ]);
  if (plan.planKnown) tenant.seenPlan = plan.seenPlan;
  if (callers !== null) tenant.callers = callers;
  if (reserved !== null) tenant.reserved = reserved;
  tenant.known ||= plan.planKnown && callers !== null;
}

interface LimitToRead {
  readonly tenantId: string;
  readonly tenant: Watched;
  readonly record: TenantRecord | null;
  readonly held: TenantLimit;
  readonly individual: boolean;
}

/** The counters of one limit; null if Redis did not answer. */
async function readLimit(sources: NowSources, one: LimitToRead): Promise<LimitReading | null> {
  const { tenantId, tenant, record, held, individual } = one;
  const { limit } = held;
  const subjects = individual ? heaviestSubjects(limit, tenant.callers, record) : [wholeAccount];
  const results = await Promise.all(
    (subjects ?? []).map((subject) =>
      sources.limiter.check({
        ...{ tenantId, userId: subject.userId, ip: subject.ip, attributes: subject.attributes },
        groupId: record?.group ?? null,
        limits: aloneOf(limit),
        cost: 1,
        peek: true,
        calendar: calendarOf(record),
      }),
    ),
  );
  if (results.some(({ degraded }) => degraded)) return null;
  const atMs = sources.clock.now();
  const counters = (subjects ?? []).flatMap((subject, index) => {
    const state = results[index]?.states[0];
    if (state === undefined) return [];
    const used = unitsUsed(state);
    const key = `${limit.route ?? '*'} ${limit.name} ${limit.of} ${subject.key}`;
    const exhaustedInMs = tenant.exhaustion.estimate(key, { atMs, used, remaining: state.remaining });
    return [{ subject, state, used, exhaustedInMs }];
  });
  return { held, counters, individual, listed: subjects !== null };
}

/** The limiter compiles each array of limits once, so a limit always has the same array. */
const alone = new WeakMap<Limit, readonly [Limit]>();

function aloneOf(limit: Limit): readonly [Limit] {
  let list = alone.get(limit);
  if (list === undefined) alone.set(limit, (list = [limit]));
  return list;
}

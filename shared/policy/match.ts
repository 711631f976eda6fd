import { boostTransitionsMs, runningBoosts } from '../domain/boost.ts';
import type { ChargeRule, Limit } from '../domain/limit.ts';
import type { ApiLimits, Plan, Policy, Route } from '../domain/policy.ts';
import type { Boost, TenantRecord } from '../domain/tenant.ts';
import type { Segments, Target } from '../domain/request/target.ts';
import { amountMax, requestsName, slidingSumMax } from '../domain/usage/quantity.ts';
import type { Quantity } from '../domain/usage/quantity.ts';
import { routeIn, routesOf } from './route-tree.ts';
import type { PolicyRoutes, Routes } from './route-tree.ts';

/** Result of `routeFor` if servers could serve a request as different routes. */
export const ambiguous = Symbol('ambiguous');

/**
 * The most specific route that matches a request, or null. Segments are compared from left to right: a literal has
 * precedence over `*`, and `*` over `**`. Among routes with the same path, a named method has precedence over `*`.
 * The order in the file has no effect. If no route for HEAD matches, HEAD is matched as GET. Limits must hold in
 * whichever way the upstream reads the target, so the result is `ambiguous` if two readings match different routes.
 * `rewritten`: the upstream receives the target in normal form, so the client's spelling of the path has no effect.
 */
export function routeFor(
  policy: Policy,
  method: string,
  target: Target,
  rewritten: boolean,
): Route | null | typeof ambiguous {
  const routes = routesOf(policy);
  const { segments, capitals, otherReadings, writtenReadings } = target;
  const found = routeIn(routes, segments, method);
  const folded = routes.capitals || capitals ? routes.folded : null;
  if (folded !== null && routeIn(folded, segments, method) !== found) return ambiguous;
  for (const reading of otherReadings) if (!readsAs(found, routes, folded, reading, method)) return ambiguous;
  if (!rewritten)
    for (const reading of writtenReadings)
      if (!readsAs(found, routes, folded, reading, method)) return ambiguous;
  return found;
}

/** Whether another reading of the target matches the same route, both with and without regard to letter case. */
function readsAs(
  route: Route | null,
  routes: PolicyRoutes,
  folded: Routes | null,
  reading: Segments,
  method: string,
): boolean {
  return (
    routeIn(routes, reading, method) === route &&
    (folded === null || routeIn(folded, reading, method) === route)
  );
}

export interface LimitsQuery {
  /** Plan that a verified token or a trusted caller names. A plan in the tenant's record has precedence. */
  readonly plan: string | null;
  readonly record: TenantRecord | null;
  readonly route: Route | null;
  readonly nowMs: number;
  /**
   * True for a call that states its amounts, and to list all limits: limits of all quantities are included. Otherwise
   * they are included only if the route has `usage`.
   */
  readonly reserve?: boolean;
}

/**
 * Limits that apply to a request. `limits` is the same array for equal queries until a limit changes, so that callers
 * can cache values that they compute from it.
 */
export interface ApplicableLimits {
  readonly plan: Plan;
  readonly limits: readonly Limit[];
}

/**
 * All limits that apply to a request, in policy order (plan, route, windows of the platform). The tenant's overrides
 * and the boosts in force at `nowMs` are applied: an override replaces the value of a limit, then boosts raise it. Of
 * several boosts the one with the largest result is used, and a boost never lowers a limit. If the policy does not
 * define the plan, the default plan is used. Limits of quantities other than `requests` apply only to calls that have
 * amounts of them.
 */
export function limitsFor(
  policy: Policy,
  { plan, record, route, nowMs, reserve = false }: LimitsQuery,
): ApplicableLimits {
  const base = withGroup(policy, baseLimits(policy, record?.plan ?? plan, route), record?.group);
  const hasAmounts = reserve || (route !== null && route.usage !== null);
  return withRecord(policy, hasAmounts ? base.all : base.ofRequests, record, nowMs);
}

/**
 * The limit of one kind of call on the API listener (`api.requests`, `api.events` or `api.event_bytes`). Overrides
 * and boosts of the tenant apply as for any other limit.
 */
export function apiLimitsFor(
  policy: Policy,
  kind: keyof ApiLimits,
  { plan, record, nowMs }: Omit<LimitsQuery, 'route'>,
): ApplicableLimits {
  const { all } = baseLimits(policy, record?.plan ?? plan, null);
  return withRecord(policy, apiBase(all.plan, kind), record, nowMs);
}

function withRecord(
  policy: Policy,
  base: ApplicableLimits,
  record: TenantRecord | null,
  nowMs: number,
): ApplicableLimits {
  if (record === null || (record.overrides === undefined && !record.boosts?.length)) return base;
  let adjusted = adjustedOf.get(record);
  if (adjusted === undefined) adjustedOf.set(record, (adjusted = new WeakMap()));
  const cached = adjusted.get(base);
  if (cached !== undefined && nowMs >= cached.fromMs && nowMs < cached.untilMs) return cached.applicable;
  const fresh = adjust(policy, base, record, nowMs);
  adjusted.set(base, fresh);
  return fresh.applicable;
}

/** The rule of the route, otherwise that of the plan. Null: every request that passed keeps its units. */
export function chargeRuleOf(
  plan: Pick<Plan, 'charge'>,
  route: Pick<Route, 'charge'> | null,
): ChargeRule | null {
  return route?.charge ?? plan.charge;
}

/** Whether an operator has blocked the tenant at `nowMs`. */
export function isBlocked(record: TenantRecord | null, nowMs: number): boolean {
  const block = record?.block;
  return block !== undefined && (block.until === null || !(Date.parse(block.until) <= nowMs));
}

/** The limits of a plan and a route without a tenant's record. Both are the same object if they have the same limits. */
interface BaseLimits {
  readonly all: ApplicableLimits;
  /** Without the limits of quantities other than `requests`. */
  readonly ofRequests: ApplicableLimits;
}

/**
 * Weak maps: a cached value is garbage-collected together with the policy, record or limits from which it was
 * computed.
 */
const bases = new WeakMap<Policy, Map<string, WeakMap<object, BaseLimits>>>();
const adjustedOf = new WeakMap<TenantRecord, WeakMap<ApplicableLimits, Adjusted>>();
const noRoute = {};

function baseLimits(policy: Policy, planName: string | null, route: Route | null): BaseLimits {
  const plan = policy.plans.get(planName ?? policy.defaultPlan) ?? policy.plans.get(policy.defaultPlan);
  if (plan === undefined) throw new TypeError('A policy without its default plan was never compiled.');
  let byPlan = bases.get(policy);
  if (byPlan === undefined) bases.set(policy, (byPlan = new Map<string, WeakMap<object, BaseLimits>>()));
  let byRoute = byPlan.get(plan.name);
  if (byRoute === undefined) byPlan.set(plan.name, (byRoute = new WeakMap()));
  let base = byRoute.get(route ?? noRoute);
  if (base === undefined) {
    const ofRoute = route?.limitsByPlan?.get(plan.name) ?? route?.limits ?? [];
    // Concurrent limits of the platform are not included: entrypoints acquire them as leases. The platform's limits
    // with a window are included.
    const ofPlatform = policy.platform.filter(({ type }) => type !== 'concurrent');
    const all = { plan, limits: [...plan.limits, ...ofRoute, ...ofPlatform] };
    byRoute.set(route ?? noRoute, (base = { all, ofRequests: limitsOfRequests(all) }));
  }
  return base;
}

const groupedOf = new WeakMap<BaseLimits, Map<string, BaseLimits>>();

/** Adds the limits of the tenant's group. Returns the same object for the same group. */
function withGroup({ groups }: Policy, base: BaseLimits, group: string | undefined): BaseLimits {
  if (group === undefined || groups.size === 0) return base;
  const name = groups.has(group) ? group : '*';
  const ofGroup = groups.get(name);
  if (ofGroup === undefined) return base;
  let grouped = groupedOf.get(base);
  if (grouped === undefined) groupedOf.set(base, (grouped = new Map<string, BaseLimits>()));
  let found = grouped.get(name);
  if (found === undefined) {
    const all = { plan: base.all.plan, limits: [...base.all.limits, ...ofGroup] };
    grouped.set(name, (found = { all, ofRequests: limitsOfRequests(all) }));
  }
  return found;
}

function limitsOfRequests(all: ApplicableLimits): ApplicableLimits {
  const counts = ({ of }: Limit): boolean => of === requestsName;
  if (all.limits.every(counts)) return all;
  return { plan: { ...all.plan, limits: all.plan.limits.filter(counts) }, limits: all.limits.filter(counts) };
}

const apiBases = new WeakMap<readonly Limit[], ApplicableLimits>();

/** The limits of one kind of call, computed once for each plan. Calls on the API listener are never delayed. */
function apiBase(plan: Plan, kind: keyof ApiLimits): ApplicableLimits {
  const limits = plan.api[kind];
  let base = apiBases.get(limits);
  if (base === undefined)
    apiBases.set(limits, (base = { plan: { ...plan, limits, slowDown: null }, limits }));
  return base;
}

interface Adjusted {
  readonly applicable: ApplicableLimits;
  /** Time range in which no boost begins or ends. */
  readonly fromMs: number;
  readonly untilMs: number;
}

function adjust(
  { quantities }: Policy,
  { plan, limits }: ApplicableLimits,
  record: TenantRecord,
  nowMs: number,
): Adjusted {
  const running = runningBoosts(record, nowMs);
  const changes = boostTransitionsMs(record);
  return {
    applicable: {
      plan,
      limits: limits.map((limit) => adjustLimit(limit, quantities.get(limit.of), record, running)),
    },
    fromMs: Math.max(-Infinity, ...changes.filter((changeMs) => changeMs <= nowMs)),
    untilMs: Math.min(Infinity, ...changes.filter((changeMs) => changeMs > nowMs)),
  };
}

/** Records state the values of a limit in the quantity's own unit. The result fits the numbers that Redis stores. */
function adjustLimit(
  limit: Limit,
  quantity: Quantity | undefined,
  record: TenantRecord,
  running: readonly Boost[],
): Limit {
  // Tenants share the limits of their group, so no record of a tenant changes them.
  if (limit.per.includes('group')) return limit;
  const smallest = (value: number): number =>
    quantity === undefined ? value : Math.round(value * 10 ** quantity.decimals);
  const override = record.overrides?.[limit.name];
  const own = override === undefined ? limit.limit : smallest(override);
  const boosted = running
    .filter((boost) => boost.limit === limit.name)
    .map(({ set_to: value, multiply = 1 }) =>
      value === undefined ? Math.floor(own * multiply) : smallest(value),
    );
  const most = limit.type === 'sliding' ? slidingSumMax - limit.burst : amountMax;
  const value = Math.min(most, Math.max(own, ...boosted));
  if (value === limit.limit && own === limit.limit) return limit;
  const carryOver = limit.carryOver === undefined ? {} : { carryOver: { ...limit.carryOver, base: own } };
  return { ...limit, ...carryOver, limit: value };
}

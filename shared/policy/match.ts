import { boostTransitionsMs, runningBoosts } from '../domain/boost.ts';
import type { Limit } from '../domain/limit.ts';
import type { ApiLimits, Plan, Policy, Route } from '../domain/policy.ts';
import type { Boost, TenantRecord } from '../domain/tenant.ts';
import type { Segments, Target } from '../domain/request/target.ts';
import { parsePattern } from './file/pattern.ts';

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
  let routes = routesOf.get(policy);
  if (routes === undefined) routesOf.set(policy, (routes = compileRoutes(policy)));
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
 * define the plan, the default plan is used.
 */
export function limitsFor(policy: Policy, { plan, record, route, nowMs }: LimitsQuery): ApplicableLimits {
  return withRecord(baseLimits(policy, record?.plan ?? plan, route), record, nowMs);
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
  return withRecord(apiBase(baseLimits(policy, record?.plan ?? plan, null).plan, kind), record, nowMs);
}

function withRecord(base: ApplicableLimits, record: TenantRecord | null, nowMs: number): ApplicableLimits {
  if (record === null || (record.overrides === undefined && !record.boosts?.length)) return base;
  let adjusted = adjustedOf.get(record);
  if (adjusted === undefined) adjustedOf.set(record, (adjusted = new WeakMap()));
  const cached = adjusted.get(base);
  if (cached !== undefined && nowMs >= cached.fromMs && nowMs < cached.untilMs) return cached.applicable;
  const fresh = adjust(base, record, nowMs);
  adjusted.set(base, fresh);
  return fresh.applicable;
}

/** Whether an operator has blocked the tenant at `nowMs`. */
export function isBlocked(record: TenantRecord | null, nowMs: number): boolean {
  const block = record?.block;
  return block !== undefined && (block.until === null || !(Date.parse(block.until) <= nowMs));
}

interface Node {
  readonly literals: Map<string, Node>;
  any: Node | null;
  /** Routes whose pattern ends at this node, by method. */
  readonly ends: Map<string, Route>;
  /** Routes whose pattern ends at this node with `**`, by method. */
  readonly rest: Map<string, Route>;
}

interface Routes {
  readonly root: Node;
  /** Whether literals and segments are compared in lower case. */
  readonly foldCase: boolean;
}

interface PolicyRoutes extends Routes {
  /**
   * The same routes, compared without regard to letter case. Null if `requests` states how the upstream treats case,
   * or if two routes differ only in case.
   */
  readonly folded: Routes | null;
  /** Whether a literal of a route contains upper-case letters. */
  readonly capitals: boolean;
}

/**
 * Weak maps: a cached value is garbage-collected together with the policy, record or limits from which it was
 * computed.
 */
const routesOf = new WeakMap<Policy, PolicyRoutes>();
const bases = new WeakMap<Policy, Map<string, WeakMap<object, ApplicableLimits>>>();
const adjustedOf = new WeakMap<TenantRecord, WeakMap<ApplicableLimits, Adjusted>>();
const noRoute = {};

function compileRoutes({ routes, requests }: Policy): PolicyRoutes {
  const foldCase = requests.letterCase === 'insensitive';
  const folded = requests.letterCase === 'refuse' ? treeOf(routes, true) : null;
  return {
    root: treeOf(routes, foldCase).root,
    foldCase,
    folded: folded?.distinct === true ? { root: folded.root, foldCase: true } : null,
    capitals: routes.some(({ match }) => /[A-Z]/.test(match.slice(match.indexOf('/')))),
  };
}

/** `distinct` is false if two routes have the same pattern. */
function treeOf(routes: readonly Route[], foldCase: boolean): { root: Node; distinct: boolean } {
  const root = emptyNode();
  let distinct = true;
  for (const route of routes) {
    const pattern = parsePattern(route.match);
    if (typeof pattern === 'string') continue;
    const rest = pattern.segments.at(-1) === '**';
    let node = root;
    for (const segment of rest ? pattern.segments.slice(0, -1) : pattern.segments) {
      const literal = foldCase ? segment.toLowerCase() : segment;
      if (segment === '*') node = node.any ??= emptyNode();
      else node = node.literals.get(literal) ?? added(node.literals, literal);
    }
    const here = rest ? node.rest : node.ends;
    distinct &&= !here.has(pattern.method);
    here.set(pattern.method, route);
  }
  return { root, distinct };
}

function emptyNode(): Node {
  return { literals: new Map(), any: null, ends: new Map(), rest: new Map() };
}

function added(literals: Map<string, Node>, segment: string): Node {
  const node = emptyNode();
  literals.set(segment, node);
  return node;
}

function routeIn({ root, foldCase }: Routes, segments: Segments, method: string): Route | null {
  const compared = foldCase ? segments.map((segment) => segment.toLowerCase()) : segments;
  return find(root, compared, 0, method) ?? (method === 'HEAD' ? find(root, compared, 0, 'GET') : null);
}

/**
 * Depth-first search that tries the most specific branch first. If a branch has no route for the method, the search
 * continues with the next branch.
 */
function find(node: Node, segments: Segments, depth: number, method: string): Route | null {
  const segment = segments[depth];
  if (segment === undefined) {
    const end = node.ends.get(method) ?? node.ends.get('*');
    if (end !== undefined) return end;
  } else {
    const literal = node.literals.get(segment);
    const found =
      (literal === undefined ? null : find(literal, segments, depth + 1, method)) ??
      (node.any === null ? null : find(node.any, segments, depth + 1, method));
    if (found !== null) return found;
  }
  return node.rest.get(method) ?? node.rest.get('*') ?? null;
}

function baseLimits(policy: Policy, planName: string | null, route: Route | null): ApplicableLimits {
  const plan = policy.plans.get(planName ?? policy.defaultPlan) ?? policy.plans.get(policy.defaultPlan);
  if (plan === undefined) throw new TypeError('A policy without its default plan was never compiled.');
  let byPlan = bases.get(policy);
  if (byPlan === undefined)
    bases.set(policy, (byPlan = new Map<string, WeakMap<object, ApplicableLimits>>()));
  let byRoute = byPlan.get(plan.name);
  if (byRoute === undefined) byPlan.set(plan.name, (byRoute = new WeakMap()));
  let base = byRoute.get(route ?? noRoute);
  if (base === undefined) {
    const ofRoute = route?.limitsByPlan?.get(plan.name) ?? route?.limits ?? [];
    // Concurrent limits of the platform are not included: entrypoints acquire them as leases. The platform's limits
    // with a window are included.
    const ofPlatform = policy.platform.filter(({ type }) => type !== 'concurrent');
    byRoute.set(route ?? noRoute, (base = { plan, limits: [...plan.limits, ...ofRoute, ...ofPlatform] }));
  }
  return base;
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

function adjust({ plan, limits }: ApplicableLimits, record: TenantRecord, nowMs: number): Adjusted {
  const running = runningBoosts(record, nowMs);
  const changes = boostTransitionsMs(record);
  return {
    applicable: { plan, limits: limits.map((limit) => adjustLimit(limit, record, running)) },
    fromMs: Math.max(-Infinity, ...changes.filter((changeMs) => changeMs <= nowMs)),
    untilMs: Math.min(Infinity, ...changes.filter((changeMs) => changeMs > nowMs)),
  };
}

function adjustLimit(limit: Limit, record: TenantRecord, running: readonly Boost[]): Limit {
  const own = record.overrides?.[limit.name] ?? limit.limit;
  const boosted = running
    .filter((boost) => boost.limit === limit.name)
    .map((boost) => boost.set_to ?? Math.floor(own * (boost.multiply ?? 1)));
  const value = Math.max(own, ...boosted);
  return value === limit.limit ? limit : { ...limit, limit: value };
}

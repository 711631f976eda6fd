import type { Limit } from '../domain/limit.ts';
import type { Plan, Policy, Route } from '../domain/policy.ts';
import type { Boost, TenantRecord } from '../domain/tenant.ts';
import { parsePattern, segmentsOf } from './pattern.ts';

/**
 * The most specific route for a request, or null. Segment by segment from the left a literal beats `*` and `*` beats
 * `**`; then the method itself beats `*`. The order in the file never decides. HEAD is read as GET where no route
 * names HEAD. `path` may carry a query; it is read as upstreams read it (see `segmentsOf`).
 */
export function routeFor(policy: Policy, method: string, path: string): Route | null {
  let tree = trees.get(policy);
  if (tree === undefined) trees.set(policy, (tree = treeOf(policy.routes)));
  const segments = segmentsOf(path);
  return find(tree, segments, 0, method) ?? (method === 'HEAD' ? find(tree, segments, 0, 'GET') : null);
}

export interface LimitsQuestion {
  /** The plan a verified token or a trusted caller names; the record's plan has precedence. */
  readonly plan: string | null;
  readonly record: TenantRecord | null;
  readonly route: Route | null;
  readonly nowMs: number;
}

/** `limits` is the same array for the same question while nothing changes, so that callers can keep what they derive from it. */
export interface ApplicableLimits {
  readonly plan: Plan;
  readonly limits: readonly Limit[];
}

/**
 * Every limit that applies to a request, in policy order (plan, route, windows of the platform), with the tenant's overrides and the
 * boosts that run at `nowMs`. An override replaces the value; boosts then raise it, and of several the largest result
 * counts. A boost never lowers a limit, and it ends by itself. A plan the policy does not know is the default plan.
 */
export function limitsFor(policy: Policy, { plan, record, route, nowMs }: LimitsQuestion): ApplicableLimits {
  const base = baseLimits(policy, record?.plan ?? plan, route);
  if (record === null || (record.overrides === undefined && !record.boosts?.length)) return base;
  let adjusted = adjustedOf.get(record);
  if (adjusted === undefined) adjustedOf.set(record, (adjusted = new WeakMap()));
  const known = adjusted.get(base);
  if (known !== undefined && nowMs >= known.fromMs && nowMs < known.untilMs) return known.applicable;
  const made = adjust(base, record, nowMs);
  adjusted.set(base, made);
  return made.applicable;
}

/** Whether an operator has blocked the tenant at `nowMs`. */
export function isBlocked(record: TenantRecord | null, nowMs: number): boolean {
  const block = record?.block;
  return block !== undefined && (block.until === null || Date.parse(block.until) > nowMs);
}

interface Node {
  readonly literals: Map<string, Node>;
  any: Node | null;
  /** Routes that end here, by method. */
  readonly ends: Map<string, Route>;
  /** Routes with `**` from here on, by method. */
  readonly rest: Map<string, Route>;
}

/** What was compiled for a policy, record or set of limits goes with it when it is replaced. */
const trees = new WeakMap<Policy, Node>();
const bases = new WeakMap<Policy, Map<string, WeakMap<object, ApplicableLimits>>>();
const adjustedOf = new WeakMap<TenantRecord, WeakMap<ApplicableLimits, Adjusted>>();
const noRoute = {};

function treeOf(routes: readonly Route[]): Node {
  const root = emptyNode();
  for (const route of routes) {
    const pattern = parsePattern(route.match);
    if (typeof pattern === 'string') continue;
    const rest = pattern.segments.at(-1) === '**';
    let node = root;
    for (const segment of rest ? pattern.segments.slice(0, -1) : pattern.segments) {
      if (segment === '*') node = node.any ??= emptyNode();
      else node = node.literals.get(segment) ?? added(node.literals, segment);
    }
    (rest ? node.rest : node.ends).set(pattern.method, route);
  }
  return root;
}

function emptyNode(): Node {
  return { literals: new Map(), any: null, ends: new Map(), rest: new Map() };
}

function added(literals: Map<string, Node>, segment: string): Node {
  const node = emptyNode();
  literals.set(segment, node);
  return node;
}

/** Depth first, most specific branch first; a branch whose methods do not fit is left for the next one. */
function find(node: Node, segments: readonly string[], depth: number, method: string): Route | null {
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
    // Concurrent limits of the platform are leases that the doors hold; its windows count like any other.
    const ofPlatform = policy.platform.filter(({ type }) => type !== 'concurrent');
    byRoute.set(route ?? noRoute, (base = { plan, limits: [...plan.limits, ...ofRoute, ...ofPlatform] }));
  }
  return base;
}

interface Adjusted {
  readonly applicable: ApplicableLimits;
  /** From and until when the same boosts run. */
  readonly fromMs: number;
  readonly untilMs: number;
}

function adjust({ plan, limits }: ApplicableLimits, record: TenantRecord, nowMs: number): Adjusted {
  const boosts = record.boosts ?? [];
  const running = boosts.filter(
    ({ starts_at, ends_at }) => Date.parse(starts_at) <= nowMs && nowMs < Date.parse(ends_at),
  );
  const turns = boosts.flatMap(({ starts_at, ends_at }) => [Date.parse(starts_at), Date.parse(ends_at)]);
  return {
    applicable: { plan, limits: limits.map((limit) => adjustLimit(limit, record, running)) },
    fromMs: Math.max(-Infinity, ...turns.filter((turn) => turn <= nowMs)),
    untilMs: Math.min(Infinity, ...turns.filter((turn) => turn > nowMs)),
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

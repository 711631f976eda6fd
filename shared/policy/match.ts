import type { Limit } from '../domain/limit.ts';
import type { ApiLimits, Plan, Policy, Route } from '../domain/policy.ts';
import type { Boost, TenantRecord } from '../domain/tenant.ts';
import type { Segments, Target } from '../domain/request/target.ts';
import { parsePattern } from './file/pattern.ts';

/** What `routeFor` answers where servers could serve a request as one route or another. */
export const ambiguous = Symbol('ambiguous');

/**
 * The most specific route for a request, or null. Segment by segment from the left a literal beats `*` and `*` beats
 * `**`; then the method itself beats `*`. The order in the file never decides. HEAD is read as GET where no route
 * names HEAD. A limit must hold however the upstream reads the target: where its readings lead to different routes
 * none is right. `rewritten` says that the upstream gets the normal form, so that how the path came does not matter.
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
  for (const reading of otherReadings) if (!leadsTo(found, routes, folded, reading, method)) return ambiguous;
  if (!rewritten)
    for (const reading of writtenReadings)
      if (!leadsTo(found, routes, folded, reading, method)) return ambiguous;
  return found;
}

/** Whether another reading of the target leads to the same route, whatever its letter case means. */
function leadsTo(
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
  return withRecord(baseLimits(policy, record?.plan ?? plan, route), record, nowMs);
}

/**
 * The limit of a kind of work on the api listener, with overrides and boosts of the tenant as for any other limit; their
 * names are `api.requests`, `api.events` and `api.event_bytes`.
 */
export function apiLimitsFor(
  policy: Policy,
  kind: keyof ApiLimits,
  { plan, record, nowMs }: Omit<LimitsQuestion, 'route'>,
): ApplicableLimits {
  return withRecord(apiBase(baseLimits(policy, record?.plan ?? plan, null).plan, kind), record, nowMs);
}

function withRecord(base: ApplicableLimits, record: TenantRecord | null, nowMs: number): ApplicableLimits {
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
  return block !== undefined && (block.until === null || !(Date.parse(block.until) <= nowMs));
}

interface Node {
  readonly literals: Map<string, Node>;
  any: Node | null;
  /** Routes that end here, by method. */
  readonly ends: Map<string, Route>;
  /** Routes with `**` from here on, by method. */
  readonly rest: Map<string, Route>;
}

interface Routes {
  readonly root: Node;
  /** Whether literals are compared in lower case. */
  readonly foldCase: boolean;
}

interface PolicyRoutes extends Routes {
  /** The same routes without regard to case; null where case is settled, by `requests` or by routes that differ in it alone. */
  readonly folded: Routes | null;
  /** Whether a literal has capitals. */
  readonly capitals: boolean;
}

/** What was compiled for a policy, record or set of limits goes with it when it is replaced. */
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

/** `distinct` is false where two routes have the same pattern. */
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

/** Depth first, most specific branch first; a branch whose methods do not fit is left for the next one. */
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
    // Concurrent limits of the platform are leases that the entrypoints hold; its windows count like any other.
    const ofPlatform = policy.platform.filter(({ type }) => type !== 'concurrent');
    byRoute.set(route ?? noRoute, (base = { plan, limits: [...plan.limits, ...ofRoute, ...ofPlatform] }));
  }
  return base;
}

const apiBases = new WeakMap<readonly Limit[], ApplicableLimits>();

/** Once for each kind of a plan. Nothing slows down work on the api listener. */
function apiBase(plan: Plan, kind: keyof ApiLimits): ApplicableLimits {
  const limits = plan.api[kind];
  let base = apiBases.get(limits);
  if (base === undefined)
    apiBases.set(limits, (base = { plan: { ...plan, limits, slowDown: null }, limits }));
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

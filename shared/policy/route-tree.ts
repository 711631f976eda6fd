import type { Policy, Route } from '../domain/policy.ts';
import type { Segments } from '../domain/request/target.ts';
import { parsePattern } from './file/routes/pattern.ts';

interface Node<Item> {
  readonly literals: Map<string, Node<Item>>;
  any: Node<Item> | null;
  /** Routes whose pattern ends at this node, by method. */
  readonly ends: Map<string, Item>;
  /** Routes whose pattern ends at this node with `**`, by method. */
  readonly rest: Map<string, Item>;
}

/** The routes of a policy, or other patterns, arranged for the search by segments. */
export interface Routes<Item = Route> {
  readonly root: Node<Item>;
  /** Whether literals and segments are compared in lower case. */
  readonly foldCase: boolean;
}

export interface PolicyRoutes extends Routes {
  /**
   * The same routes, compared without regard to letter case. Null if `requests` states how the upstream treats case,
   * or if two routes differ only in case.
   */
  readonly folded: Routes | null;
  /** Whether a literal of a route contains upper-case letters. */
  readonly capitals: boolean;
}

/** Compiled once for each policy, and garbage-collected with it. */
const compiled = new WeakMap<Policy, PolicyRoutes>();

export function routesOf(policy: Policy): PolicyRoutes {
  let routes = compiled.get(policy);
  if (routes === undefined) compiled.set(policy, (routes = compileRoutes(policy)));
  return routes;
}

/** The most specific route that matches the segments and the method; for HEAD also as GET. Null if none does. */
export function routeIn<Item>(
  { root, foldCase }: Routes<Item>,
  segments: Segments,
  method: string,
): Item | null {
  const compared = foldCase ? segments.map((segment) => segment.toLowerCase()) : segments;
  return find(root, compared, 0, method) ?? (method === 'HEAD' ? find(root, compared, 0, 'GET') : null);
}

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

/** Patterns that are no routes of a policy, compared with their letter case. Invalid patterns match no request. */
export function compilePatterns<Item extends HasPattern>(patterns: readonly Item[]): Routes<Item> {
  return { root: treeOf(patterns, false).root, foldCase: false };
}

type HasPattern = Pick<Route, 'match'>;

/** `distinct` is false if two routes have the same pattern. */
function treeOf<Item extends HasPattern>(
  routes: readonly Item[],
  foldCase: boolean,
): { root: Node<Item>; distinct: boolean } {
  const root = emptyNode<Item>();
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

function emptyNode<Item>(): Node<Item> {
  return { literals: new Map(), any: null, ends: new Map(), rest: new Map() };
}

function added<Item>(literals: Map<string, Node<Item>>, segment: string): Node<Item> {
  const node = emptyNode<Item>();
  literals.set(segment, node);
  return node;
}

/**
 * Depth-first search that tries the most specific branch first. If a branch has no route for the method, the search
 * continues with the next branch.
 */
function find<Item>(node: Node<Item>, segments: Segments, depth: number, method: string): Item | null {
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

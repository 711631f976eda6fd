import { LRUCache } from 'lru-cache';
import type { RecordedEvent } from '../../clickhouse/queries/recorded/recorded-events.ts';
import type { Policy, Route } from '../../domain/policy.ts';
import { isUnreadable, readTarget } from '../../domain/request/request-target.ts';
import { ambiguous, routeFor } from '../../policy/match.ts';

type RoutedEvent = Pick<RecordedEvent, 'method' | 'path' | 'route'>;

const routesMax = 50_000;
/** Events have at most this many characters of a path. */
const pathLengthMax = 256;

/** Finds the route of a policy for recorded requests. */
export class RecordedRoutes {
  readonly policy: Policy;
  readonly #byName: ReadonlyMap<string, Route>;
  readonly #byRequest = new LRUCache<string, { readonly route: Route | null }>({ max: routesMax });

  constructor(policy: Policy) {
    this.policy = policy;
    this.#byName = new Map(policy.routes.map((route) => [route.match, route]));
  }

  /** The route with this pattern. */
  named(pattern: string): Route | null {
    return this.#byName.get(pattern) ?? null;
  }

  /**
   * The route that matches the method and the path of a request. If the event has only a part of its path, or servers could read
   * the path as different routes: the route with the recorded pattern.
   */
  of(event: RoutedEvent): Route | null {
    if (this.policy.routes.length === 0) return null;
    const name = `${event.method} ${event.path}`;
    let found = this.#byRequest.get(name);
    if (found === undefined) this.#byRequest.set(name, (found = { route: this.#match(event) }));
    return found.route;
  }

  #match({ method, path, route }: RoutedEvent): Route | null {
    if (path === '' || path.length >= pathLengthMax) return this.named(route);
    const target = readTarget(path, this.policy.requests);
    if (isUnreadable(target)) return this.named(route);
    const matched = routeFor(this.policy, method, target, true);
    return matched === ambiguous ? this.named(route) : matched;
  }
}

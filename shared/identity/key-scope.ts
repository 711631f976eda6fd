import type { RequestScope } from '../domain/identity.ts';
import type { Segments, Target } from '../domain/request/target.ts';
import { isPermitted } from '../domain/tenant.ts';
import type { KeyScope } from '../domain/tenant.ts';
import { compilePatterns, routeIn } from '../policy/route-tree.ts';

/**
 * Compiles the scope of a key once, when the key is first used, so that a request costs one search in a tree. Literals
 * are compared with their letter case, also if the upstream ignores it: a scope then allows less, never more.
 */
export function compileScope(stated: KeyScope): RequestScope {
  const { routes } = stated;
  if (!isPermitted(stated, 'requests')) return { stated, allowsRequest: () => false };
  if (routes === undefined) return { stated, allowsRequest: () => true };
  const patterns = compilePatterns(routes.map((match) => ({ match })));
  const allows = (segments: Segments, method: string): boolean =>
    routeIn(patterns, segments, method) !== null;
  return {
    stated,
    allowsRequest: (method, { segments, otherReadings, writtenReadings }: Target) => {
      if (!allows(segments, method)) return false;
      for (const reading of otherReadings) if (!allows(reading, method)) return false;
      for (const reading of writtenReadings) if (!allows(reading, method)) return false;
      return true;
    },
  };
}

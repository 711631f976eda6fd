import type { RequestReading } from '../../../domain/request/request-reading.ts';
import { isUnreadable, percentEncoded, readTarget } from '../../../domain/request/request-target.ts';
import { compileRequests } from '../requests.ts';
import type { PolicyFile } from '../schema.ts';
import type { FieldPath, Violations } from '../violations.ts';
import { parsePattern } from './pattern.ts';

/**
 * Checks the patterns of all routes, those of `exempt` included: each must be valid, be able to match a request, and
 * differ from all others.
 */
export function checkPatterns(file: PolicyFile, violations: Violations): void {
  const seen = new Map<string, string>();
  const reading = compileRequests(file.requests);
  for (const { match, at, name } of patternsOf(file)) {
    const pattern = parsePattern(match);
    if (typeof pattern === 'string') {
      violations.add(at, `"${match}" ${pattern}`);
      continue;
    }
    const unreachable = problemOfPath(match, reading);
    if (unreachable !== null) violations.add(at, `"${match}" ${unreachable}`);
    const path = pattern.segments.join('/');
    const same = `${pattern.method} /${reading.letterCase === 'insensitive' ? path.toLowerCase() : path}`;
    const first = seen.get(same);
    if (first !== undefined) {
      const advice =
        name.startsWith('exempt') === first.startsWith('exempt') ? 'merge the two' : 'delete one';
      violations.add(at, `"${match}" is ${first} again; ${advice}`);
    }
    seen.set(same, first ?? name);
  }
}

interface NamedPattern {
  readonly match: string;
  readonly at: FieldPath;
  /** Name of the entry in messages. */
  readonly name: string;
}

function patternsOf({ routes = [], exempt }: PolicyFile): readonly NamedPattern[] {
  return [
    ...routes.map(({ match }, index) => ({
      match,
      at: ['routes', index, 'match'],
      name: `routes[${index}]`,
    })),
    ...(exempt?.routes ?? []).map((match, index) => ({
      match,
      at: ['exempt', 'routes', index],
      name: `exempt.routes[${index}]`,
    })),
  ];
}

/** Why no request can match the pattern under the settings of `requests`; null if a request can match it. */
function problemOfPath(match: string, reading: RequestReading): string | null {
  const path = match.slice(match.indexOf('/'));
  const target = readTarget(percentEncoded(path), reading);
  if (isUnreadable(target)) return `matches no request. ${target.detail} See the key "requests"`;
  if (!path.includes(';') || reading.parameters === 'text') return null;
  return 'has a ";"; set requests.parameters to text, or write the path without parameters';
}

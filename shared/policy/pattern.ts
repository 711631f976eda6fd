/** A `match` of the policy, taken apart. `method` is upper case or `*`; `**` stands only as the last segment. */
export interface Pattern {
  readonly method: string;
  readonly segments: readonly string[];
}

/** `METHOD /path` with `*` for any method or one segment and `**` for the rest; a sentence about what is wrong otherwise. */
export function parsePattern(match: string): Pattern | string {
  const parts = /^(\S+) +(\/\S*)$/.exec(match.trim());
  const [, method, path] = parts ?? [];
  if (method === undefined || path === undefined) {
    return 'must be a method, a space and a path that begins with "/", e.g. "POST /agent/chat"';
  }
  if (method !== '*' && !/^[A-Z]+$/.test(method))
    return `has the method "${method}"; write it in capitals, or "*"`;
  if (/[?#]/.test(path)) return 'must be a path without "?" or "#": queries take no part in matching';
  const segments = segmentsOf(path);
  for (const [index, segment] of segments.entries()) {
    if (segment === '**' && index !== segments.length - 1) return 'may have "**" only at its end';
    if (segment.includes('*') && segment !== '*' && segment !== '**') {
      return `has "${segment}"; "*" stands for a whole segment, "**" for the rest`;
    }
    if (segment === '.' || segment === '..') return 'may not have "." or ".." segments';
  }
  return { method, segments };
}

/**
 * The segments of a request's path, as upstreams read it: without the query, percent-escapes decoded, empty and dot
 * segments resolved. Otherwise `/agent/%63hat`, `//agent/chat` or `/x/../agent/chat` would slip past the limits of
 * `/agent/chat` and still reach it.
 */
export function segmentsOf(path: string): string[] {
  const end = path.search(/[?#]/);
  const segments: string[] = [];
  for (const raw of (end === -1 ? path : path.slice(0, end)).split('/')) {
    const segment = raw.includes('%') ? decoded(raw) : raw;
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return segments;
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

import { isMethod } from '../../../domain/request/request-method.ts';

/** Parsed `match` of a route. `method` is in upper case, or `*`. A segment `**` can only be the last one. */
export interface Pattern {
  readonly method: string;
  readonly segments: readonly string[];
}

/**
 * Parses `METHOD /path`. `*` stands for any method or for one segment; a final `**` matches zero or more segments.
 * For an invalid pattern, returns the reason.
 */
export function parsePattern(match: string): Pattern | string {
  const parts = /^(\S+) +(\/\S*)$/.exec(match.trim());
  const [, method, path] = parts ?? [];
  if (method === undefined || path === undefined) {
    return 'must be a method, a space and a path that begins with "/", e.g. "POST /agent/chat"';
  }
  if (method !== '*' && !isMethod(method))
    return `has the method "${method}"; write it in upper case, or "*"`;
  if (/[?#]/.test(path)) return 'must be a path without "?" or "#": queries are not matched';
  const segments = segmentsOf(path);
  if (segments === null)
    return 'has a "%" that is not part of an escape of UTF-8; write %25 for a percent sign';
  for (const [index, segment] of segments.entries()) {
    if (segment === '**' && index !== segments.length - 1) return 'may have "**" only at its end';
    if (segment.includes('*') && segment !== '*' && segment !== '**') {
      return `has "${segment}"; "*" is one whole segment, a final "**" any number of segments`;
    }
    if (segment === '.' || segment === '..') return 'may not have "." or ".." segments';
  }
  return { method, segments };
}

/** The segments of the pattern, decoded as the segments of a request are; null if an escape is invalid. */
function segmentsOf(path: string): string[] | null {
  try {
    return path
      .split('/')
      .filter((segment) => segment !== '')
      .map(decodeURIComponent);
  } catch {
    return null;
  }
}

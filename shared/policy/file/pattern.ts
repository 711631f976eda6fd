import { isMethod } from '../../domain/request/request-method.ts';

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
  if (method !== '*' && !isMethod(method)) return `has the method "${method}"; write it in capitals, or "*"`;
  if (/[?#]/.test(path)) return 'must be a path without "?" or "#": queries take no part in matching';
  const segments = segmentsOf(path);
  if (segments === null) return 'has a "%" that begins no escape of UTF-8; write %25 for the sign itself';
  for (const [index, segment] of segments.entries()) {
    if (segment === '**' && index !== segments.length - 1) return 'may have "**" only at its end';
    if (segment.includes('*') && segment !== '*' && segment !== '**') {
      return `has "${segment}"; "*" stands for a whole segment, "**" for the rest`;
    }
    if (segment === '.' || segment === '..') return 'may not have "." or ".." segments';
  }
  return { method, segments };
}

/** Decoded as a request's are; null where an escape is none. */
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

import type { Target } from './target.ts';

/** Classes of characters of a request-target. A character without a class can be spelled or read in several ways. */
const small = 1;
const capital = 2;
const slash = 3;
const questionMark = 4;
const classes = new Uint8Array(256);
classify("abcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@", small);
classify('ABCDEFGHIJKLMNOPQRSTUVWXYZ', capital);
classify('/', slash);
classify('?', questionMark);

const dot = '.'.charCodeAt(0);
const strangeInQuery = /[#\u0000-\u0020\u007f]/;
const none: readonly never[] = [];

/**
 * Fast path for almost all requests. Reads a target in one pass if it is in normal form and all servers read it the
 * same way. Returns null for any other target, and also for a few targets in normal form, such as `/.well-known`.
 */
export function readPlain(raw: string): Target | null {
  if (classes[raw.charCodeAt(0)] !== slash) return null;
  const segments: string[] = [];
  let capitals = false;
  let start = 1;
  let end = 1;
  for (; end < raw.length; end += 1) {
    const kind = classes[raw.charCodeAt(end)];
    if (kind === small) continue;
    if (kind === capital) capitals = true;
    else if (kind === slash) {
      if (end === start || raw.charCodeAt(start) === dot || raw.charCodeAt(end - 1) === dot) return null;
      segments.push(raw.slice(start, end));
      start = end + 1;
    } else if (kind === questionMark) break;
    else return null;
  }
  if (end > start) {
    if (raw.charCodeAt(start) === dot || raw.charCodeAt(end - 1) === dot) return null;
    segments.push(raw.slice(start, end));
  }
  const query = end === raw.length ? '' : raw.slice(end);
  if (query !== '' && strangeInQuery.test(query)) return null;
  return {
    text: raw,
    path: query === '' ? raw : raw.slice(0, end),
    query,
    segments,
    capitals,
    otherReadings: none,
    writtenReadings: none,
    authority: null,
  };
}

function classify(characters: string, kind: number): void {
  for (const character of characters) classes[character.charCodeAt(0)] = kind;
}

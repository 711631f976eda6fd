import type { RequestReading } from './request-reading.ts';
import type { Unreadable } from './target.ts';

/**
 * Parts of a path that need normalization: percent-escapes, characters that RFC 3986 does not allow in a path,
 * non-ASCII characters.
 */
const unusual = /%(?:[0-9A-Fa-f]{2})?|[\\"<>[\]^`{|}\u0080-\uffff]/g;
const unreserved = /[A-Za-z0-9\-._~]/;

/**
 * The path with only one spelling of every character: escapes of unreserved characters are decoded, and characters
 * that need an escape are escaped in upper case. Dot segments and slashes are unchanged.
 */
export function normalEscapes(path: string, reading: RequestReading): string | Unreadable {
  let problem: string | null = null;
  const normal = path.replaceAll(unusual, (found) => {
    if (found === '%') problem ??= 'The path holds a "%" that begins no escape; send it as %25.';
    const code = found.length === 3 ? Number.parseInt(found.slice(1), 16) : found.charCodeAt(0);
    problem ??= problemOf(code, reading);
    const character = String.fromCharCode(code);
    return unreserved.test(character) ? character : `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
  });
  // Servlet containers remove path parameters before they resolve dot segments, so `/..;x/` becomes `/../`.
  if (reading.parameters !== 'text' && /\/\.{1,2};/.test(normal))
    problem ??= 'The path holds a dot segment with parameters.';
  if (problem === null && !isUtf8(normal)) problem = 'The path holds escapes that are not UTF-8.';
  return problem === null ? normal : { status: 400, detail: problem };
}

function isUtf8(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

function problemOf(code: number, reading: RequestReading): string | null {
  if (code === 0x2f && reading.encodedSlash === 'refuse')
    return 'The path holds an escaped slash (%2F), which servers read differently.';
  if (code === 0x5c && reading.backslash === 'refuse')
    return 'The path holds a backslash, which servers read differently.';
  if ((code < 0x20 || code === 0x7f) && reading.controlCharacters === 'refuse')
    return 'The path holds an escaped control character.';
  return code > 0xff ? 'The path holds a character that is not escaped.' : null;
}

/**
 * The path without dot segments (RFC 3986, 5.2.4). Empty segments are removed too, unless `keepEmpty` is set. A dot
 * segment never leads above the root.
 */
export function resolveSegments(path: string, keepEmpty: boolean): string {
  const parts = path.split('/');
  const last = parts.length - 1;
  const kept: string[] = [];
  for (const [index, part] of parts.entries()) {
    if (index === 0 || part === '.') continue;
    if (part === '..') kept.pop();
    else if (part !== '' || (keepEmpty && index !== last)) kept.push(part);
  }
  const folder = /^\.{0,2}$/.test(parts[last] ?? '') && kept.length > 0;
  return `/${kept.join('/')}${folder ? '/' : ''}`;
}

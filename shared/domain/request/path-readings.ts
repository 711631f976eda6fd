import { resolveSegments } from './path-normal-form.ts';
import type { RequestReading } from './request-reading.ts';
import type { Segments } from './target.ts';

/** The decoded segments of a path in normal form. All paths in this file are in normal form, and their escapes are UTF-8. */
export function segmentsOf(path: string, stripped: boolean): Segments {
  return decodedSegments(stripped ? stripParameters(path) : path);
}

/**
 * Escapes of `!$&'()*+,:;=@`. A path may also contain these characters unescaped, and servers that compare undecoded
 * text treat the two spellings as different.
 */
const reservedEscapes = /%(?:2[146-9A-C]|3[ABD]|40)/g;
const reservedEscape = new RegExp(reservedEscapes.source);
const escapedEscape = /%25[0-9A-Fa-f]{2}/;

/**
 * The lists of segments that some servers get for the path and that differ from `segmentsOf(path)`. A difference is
 * left out if `reading` states how the upstream reads it.
 */
export function differentReadings(path: string, reading: RequestReading): readonly Segments[] {
  const readings: Segments[] = [];
  if (path.includes(';')) readings.push(...parameterReadings(path, reading).map(decodedSegments));
  if (reservedEscape.test(path)) {
    const undecoded = path.replaceAll(reservedEscapes, '%25$&');
    readings.push(...parameterReadings(undecoded, reading).map(decodedSegments));
  }
  if (reading.doubleEncoding === 'refuse' && escapedEscape.test(path)) {
    readings.push(...parameterReadings(decodedTwice(path), reading).map(split));
  }
  const trimmed = path.split('/').map(withoutEnd).join('/');
  if (trimmed !== path) {
    readings.push(...parameterReadings(resolveSegments(trimmed, false), reading).map(decodedSegments));
  }
  return readings;
}

/**
 * The lists of segments that servers get for a path with dot segments and repeated slashes. A server resolves dot
 * segments and merges slashes, or does only one of the two, or none.
 */
export function writtenReadings(written: string): readonly Segments[] {
  const resolved = decodedSegments(resolveSegments(written, true));
  const unresolved = decodedSegments(written);
  return [resolved, unresolved, unresolved.filter((segment) => segment !== '')];
}

function decodedSegments(path: string): string[] {
  return split(path).map((segment) => (segment.includes('%') ? decodeURIComponent(segment) : segment));
}

function split(path: string): string[] {
  const segments = path.slice(1).split('/');
  if (segments.at(-1) === '') segments.pop();
  return segments;
}

function stripParameters(path: string): string {
  return resolveSegments(path.replaceAll(/;[^/]*/g, ''), false);
}

/**
 * Three readings of `;`: an ordinary character, the start of path parameters (servlet containers), the end of the
 * path (some routers).
 */
function parameterReadings(path: string, { parameters }: RequestReading): string[] {
  if (parameters === 'text') return [path];
  if (parameters === 'strip') return [stripParameters(path)];
  return [path, stripParameters(path), path.split(';', 1)[0] ?? ''];
}

/** The segment without trailing dots and spaces, as Caddy and Windows read it. */
function withoutEnd(segment: string): string {
  let end = segment.length;
  for (;;) {
    if (segment.endsWith('.', end)) end -= 1;
    else if (segment.endsWith('%20', end)) end -= 3;
    else return segment.slice(0, end);
  }
}

/** The path decoded twice: by a proxy that forwards decoded paths, then by the server behind it. */
function decodedTwice(path: string): string {
  const twice = decodeURIComponent(path).replaceAll(/(?:%[0-9A-Fa-f]{2})+/g, decodedOr);
  const [ended = ''] = twice.split(/[?#]/, 1);
  return resolveSegments(ended.replaceAll('\\', '/'), false);
}

function decodedOr(escapes: string): string {
  try {
    return decodeURIComponent(escapes);
  } catch {
    return escapes;
  }
}

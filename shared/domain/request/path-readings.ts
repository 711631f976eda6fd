import { resolveSegments } from './path-normal-form.ts';
import type { RequestReading } from './request-reading.ts';
import type { Segments } from './target.ts';

/** The segments of a path in normal form, whose escapes are UTF-8; the same holds for the functions below. */
export function segmentsOf(path: string, stripped: boolean): Segments {
  return decodedSegments(stripped ? stripParameters(path) : path);
}

/** Escapes of `!$&'()*+,:;=@`, which a path may hold as they are: servers that compare undecoded text tell the two apart. */
const reservedEscapes = /%(?:2[146-9A-C]|3[ABD]|40)/g;
const reservedEscape = new RegExp(reservedEscapes.source);
const escapedEscape = /%25[0-9A-Fa-f]{2}/;

/** How some servers split a path in normal form otherwise than `segmentsOf`; what `reading` settles is left out. */
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

/** How servers split a path that is normal but for its dot segments and slashes: each resolves both, one or none of them. */
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

/** As a servlet container reads a path, or one to whom `;` is a character like others; some routers end it there. */
function parameterReadings(path: string, { parameters }: RequestReading): string[] {
  if (parameters === 'text') return [path];
  if (parameters === 'strip') return [stripParameters(path)];
  return [path, stripParameters(path), path.split(';', 1)[0] ?? ''];
}

/** A segment as Caddy and Windows read it: without dots and spaces at its end. */
function withoutEnd(segment: string): string {
  let end = segment.length;
  for (;;) {
    if (segment.endsWith('.', end)) end -= 1;
    else if (segment.endsWith('%20', end)) end -= 3;
    else return segment.slice(0, end);
  }
}

/** As by a proxy that passes on the decoded path, and the server behind it. */
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

import { normalEscapes, resolveSegments } from './path-normal-form.ts';
import { differentReadings, segmentsOf, writtenReadings } from './path-readings.ts';
import { readPlain } from './plain-target.ts';
import type { RequestReading } from './request-reading.ts';
import type { Target, Unreadable } from './target.ts';

/** Longest request-target in bytes: the size limit of a request's header section. */
const targetLengthMax = 16_384;

/**
 * Reads a request-target and converts it to its normal form: removes scheme and host of the absolute form, resolves
 * dot segments, merges slashes, decodes unreserved characters, writes other escapes in upper case, and escapes
 * characters that need it. Rejects a target that servers read differently, unless `reading` states how the upstream
 * reads it. `raw` has one character for each byte, as Node's `request.url`; `percentEncoded` converts other texts.
 * Takes linear time.
 */
export function readTarget(raw: string, reading: RequestReading): Target | Unreadable {
  if (raw.length > targetLengthMax) {
    return { status: 414, detail: `The target is longer than ${targetLengthMax} characters.` };
  }
  return readPlain(raw) ?? readUnusual(raw, reading);
}

export function isUnreadable(value: Target | Unreadable): value is Unreadable {
  return 'detail' in value;
}

/** The text with all non-ASCII characters percent-encoded as UTF-8. */
export function percentEncoded(text: string): string {
  return text.toWellFormed().replaceAll(/[^\u0000-\u007f]+/g, encodeURIComponent);
}

/** The target `*` addresses the server, not a path. Only routes that begin with a wildcard match it. */
const asterisk: Target = {
  text: '*',
  path: '*',
  query: '',
  segments: ['*'],
  capitals: false,
  otherReadings: [],
  writtenReadings: [],
  authority: null,
};

/**
 * Matches the absolute form. Userinfo (`user@host`) is not accepted, because readers of logs may take it for the
 * host.
 */
const absoluteForm = /^https?:\/\/([A-Za-z0-9\-._~!$&'()*+,;=%:[\]]+)((?:[/?][^]*)?)$/i;

function readUnusual(raw: string, reading: RequestReading): Target | Unreadable {
  if (raw === '*') return asterisk;
  const illegal = /[#\u0000-\u0020\u007f]/.exec(raw)?.[0];
  if (illegal === '#') return refused('The target holds a "#", which belongs to no request; send it as %23.');
  if (illegal !== undefined) return refused('The target holds a space or a control character.');
  let origin = raw;
  let authority: string | null = null;
  if (!raw.startsWith('/')) {
    const parts = absoluteForm.exec(raw);
    if (parts === null)
      return refused('The target is neither a path that begins with "/" nor an http address.');
    authority = parts[1] ?? '';
    origin = parts[2]?.startsWith('/') === true ? parts[2] : `/${parts[2] ?? ''}`;
  }
  const queryAt = origin.indexOf('?');
  const query = queryAt === -1 ? '' : origin.slice(queryAt);
  const written = normalEscapes(queryAt === -1 ? origin : origin.slice(0, queryAt), reading);
  if (typeof written !== 'string') return written;
  const path = resolveSegments(written, reading.doubleSlash === 'keep');
  return {
    text: path + query,
    path,
    query,
    segments: segmentsOf(path, reading.parameters === 'strip'),
    capitals: true,
    otherReadings: differentReadings(path, reading),
    writtenReadings: path === written ? [] : writtenReadings(written),
    authority,
  };
}

function refused(detail: string): Unreadable {
  return { status: 400, detail };
}

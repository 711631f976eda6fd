import type { IncomingHttpHeaders } from 'node:http';
import type { RequestReading } from '../../../../shared/domain/request/request-reading.ts';
import { isUnreadable, readTarget } from '../../../../shared/domain/request/request-target.ts';
import { receivedRequest } from '../../enforcer/read-request.ts';
import type { RawRequest } from '../../enforcer/read-request.ts';

/** The two families of fields in which proxies describe the request they ask about. */
export const sources = ['original', 'forwarded'] as const;
export type Source = (typeof sources)[number];

interface Family {
  readonly method: string;
  readonly targets: readonly string[];
}

const families: Readonly<Record<Source, Family>> = {
  original: { method: 'x-original-method', targets: ['x-original-uri', 'x-original-url'] },
  forwarded: { method: 'x-forwarded-method', targets: ['x-forwarded-uri'] },
};
const methods = Object.values(families).map(({ method }) => method);
const targets = Object.values(families).flatMap((family) => family.targets);

/**
 * The request that a proxy asks about, from one family of fields: the one the proxy's own configuration names, else
 * the one that is there. The proxy passes on what the client sent, so the other family may be the client's: what it
 * says has to be the same, or the request is refused.
 */
export function originalRequest(
  headers: IncomingHttpHeaders,
  named: Source | undefined,
  reading: RequestReading,
): RawRequest {
  const contradiction =
    twoThatDiffer(headers, methods, (one, other) => one === other) ??
    twoThatDiffer(headers, targets, (one, other) => sameTarget(one, other, reading));
  if (contradiction !== null)
    return refused(`${contradiction.join(' and ')} describe different requests; the proxy sets one of them.`);
  const original = families.original.targets.some((name) => valueOf(headers, name) !== undefined);
  const family = families[named ?? (original ? 'original' : 'forwarded')];
  const method = valueOf(headers, family.method);
  const url = family.targets.map((name) => valueOf(headers, name)).find((value) => value !== undefined);
  if (method === undefined || url === undefined) {
    return refused(`${family.method} and ${family.targets[0] ?? ''} must say which request is asked about.`);
  }
  return receivedRequest(method, url, headers, reading);
}

/** The names of two fields with different values; null where all that are there agree. */
function twoThatDiffer(
  headers: IncomingHttpHeaders,
  names: readonly string[],
  agree: (one: string, other: string) => boolean,
): readonly [string, string] | null {
  const [first, ...others] = names.filter((name) => valueOf(headers, name) !== undefined);
  if (first === undefined) return null;
  const value = valueOf(headers, first) ?? '';
  const different = others.find((name) => !agree(value, valueOf(headers, name) ?? ''));
  return different === undefined ? null : [first, different];
}

/** Some proxies give the whole address, others the path alone. */
function sameTarget(one: string, other: string, reading: RequestReading): boolean {
  if (one === other) return true;
  const [read, otherRead] = [readTarget(one, reading), readTarget(other, reading)];
  return !isUnreadable(read) && !isUnreadable(otherRead) && read.text === otherRead.text;
}

/** Several fields of a name are joined, and then neither a target nor a method; an empty one says nothing. */
function valueOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return value === undefined || value.length === 0 ? undefined : String(value);
}

function refused(detail: string): RawRequest {
  return { method: '', url: '', unreadable: { status: 400, detail } };
}

import type { IncomingHttpHeaders } from 'node:http';
import type { RequestReading } from '../../../../shared/domain/request/request-reading.ts';
import { isUnreadable, readTarget } from '../../../../shared/domain/request/request-target.ts';
import { receivedRequest } from '../../enforcer/read-request.ts';
import type { RawRequest } from '../../enforcer/read-request.ts';

/**
 * Names of the two families of header fields in which proxies describe the original request: `X-Original-*` and
 * `X-Forwarded-*`.
 */
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
 * Returns the request that a proxy describes, in `X-Original-*` or in `X-Forwarded-*` fields. If the proxy's
 * configuration names one of these two sets, this set is read; else the set that is present. The client may have sent
 * the other set, because proxies forward the client's fields: if the two sets describe different requests, the request
 * is refused.
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
    return unreadable(
      `${contradiction.join(' and ')} describe different requests; the proxy sets one of them.`,
    );
  const original = families.original.targets.some((name) => valueOf(headers, name) !== undefined);
  const family = families[named ?? (original ? 'original' : 'forwarded')];
  const method = valueOf(headers, family.method);
  const url = family.targets.map((name) => valueOf(headers, name)).find((value) => value !== undefined);
  if (method === undefined || url === undefined) {
    return unreadable(`${family.method} and ${family.targets[0] ?? ''} must describe the request.`);
  }
  return receivedRequest(method, url, headers, reading);
}

/** Returns the names of two fields with different values; null if the values of all present fields agree. */
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

/** True if two fields describe the same target: some proxies send the full URL, others only the path and query. */
function sameTarget(one: string, other: string, reading: RequestReading): boolean {
  if (one === other) return true;
  const [target, otherTarget] = [readTarget(one, reading), readTarget(other, reading)];
  return !isUnreadable(target) && !isUnreadable(otherTarget) && target.text === otherTarget.text;
}

/**
 * Returns the value of a field; undefined if it is absent or empty. Node joins several fields of the same name, and the
 * result is not a valid target or method.
 */
function valueOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return value === undefined || value.length === 0 ? undefined : String(value);
}

function unreadable(detail: string): RawRequest {
  return { method: '', url: '', unreadable: { status: 400, detail } };
}

import type { RequestReading } from './request-reading.ts';
import type { Unreadable } from './target.ts';

/** Fields by which some frameworks let a POST name another method than its own. */
const overrideNames = ['x-http-method-override', 'x-http-method', 'x-method-override'] as const;

/** Nearly every request has one of these, which need no closer look. */
const standard: ReadonlySet<string> = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']);

type Fields = Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * The method that the upstream serves, in capitals: some servers take `post` for `POST`, and a limit on the one must
 * hold for the other. A field that names another method is refused, unless the upstream honours it.
 */
export function readMethod(method: string, fields: Fields, reading: RequestReading): string | Unreadable {
  const given = standard.has(method) ? method : method.toUpperCase();
  let served = given;
  for (const name of overrideNames) {
    const field = fields[name];
    if (field === undefined) continue;
    const named = String(field).toUpperCase();
    if (named === served) continue;
    // Of a POST only: no framework overrides another method, so there the request would be served as what it is.
    if (reading.methodOverride === 'refuse' || given !== 'POST' || served !== given)
      return refused(`${name} names another method than the request: send the request with that method.`);
    served = named;
  }
  return isMethod(served) ? served : refused('The method is not one.');
}

/** `GET`, `M-SEARCH`: in capitals. */
export function isMethod(text: string): boolean {
  return standard.has(text) || /^[A-Z](?:[A-Z-]{0,30}[A-Z])?$/.test(text);
}

function refused(detail: string): Unreadable {
  return { status: 400, detail };
}

import type { RequestReading } from './request-reading.ts';
import type { Unreadable } from './target.ts';

/** Header fields with which a POST request can override its method in some frameworks. */
const overrideNames = ['x-http-method-override', 'x-http-method', 'x-method-override'] as const;

/** Fast path for the methods that nearly all requests have. */
const standard: ReadonlySet<string> = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']);

type Fields = Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * The method that the upstream serves, in upper case. Some servers read `post` as `POST`, so a limit of `POST` must
 * count both. A request is rejected if a header field names another method, unless the policy states that the
 * upstream follows the field.
 */
export function readMethod(method: string, fields: Fields, reading: RequestReading): string | Unreadable {
  const isStandard = standard.has(method);
  if (isStandard && !hasOverride(fields)) return method;
  const sent = isStandard ? method : method.toUpperCase();
  let served = sent;
  for (const name of overrideNames) {
    const field = fields[name];
    if (field === undefined) continue;
    const named = String(field).toUpperCase();
    if (named === served) continue;
    // Frameworks apply an override to POST only; other requests are served with their own method.
    if (reading.methodOverride === 'refuse' || sent !== 'POST' || served !== sent)
      return refused(`${name} names another method than the request: send the request with that method.`);
    served = named;
  }
  return isMethod(served) ? served : refused('The method is not one.');
}

/** Reads the fields by constant names, because a name in a variable costs several times as much per request. */
function hasOverride(fields: Fields): boolean {
  return (
    fields['x-http-method-override'] !== undefined ||
    fields['x-http-method'] !== undefined ||
    fields['x-method-override'] !== undefined
  );
}

/** True for a method in upper case: `GET`, `M-SEARCH`. */
export function isMethod(text: string): boolean {
  return standard.has(text) || /^[A-Z](?:[A-Z-]{0,30}[A-Z])?$/.test(text);
}

function refused(detail: string): Unreadable {
  return { status: 400, detail };
}

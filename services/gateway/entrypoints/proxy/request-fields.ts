import { foldedName } from '../identity-headers.ts';

/**
 * What happens to a header field of the client's request: `pass` forwards it, `drop` removes it, and `trusted` forwards
 * it only if a trusted proxy sent it, because a client could forge it.
 */
export type Treatment = 'pass' | 'drop' | 'trusted';

/**
 * Fields that apply to one connection and not to the message (RFC 9110, 7.6.1). `Connection` may name additional ones.
 */
export const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Fields that Tollgate sets itself, and fields that it removes because they may describe another request than the
 * forwarded one.
 */
const own = new Set([
  'expect',
  'forwarded',
  'host',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-method',
  'x-forwarded-path',
  'x-forwarded-proto',
  'x-forwarded-uri',
  'x-forwarded-url',
  'x-real-ip',
  // Credential for Tollgate, which the upstream must not get.
  'x-service-token',
]);
const ownFamilies = ['x-original-', 'x-rewrite-', 'x-tollgate-'];

/** Fields in which proxies state the client's address or user. */
const fromProxies = new Set([
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'client-ip',
  'fastly-client-ip',
  'forwarded-for',
  'true-client-ip',
  'x-appengine-user-ip',
  'x-azure-clientip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-envoy-external-address',
  'x-forwarded',
  'x-originating-ip',
]);
const familiesFromProxies = [
  'remote-',
  'ssl-client-',
  'x-auth-request-',
  'x-authenticated-',
  'x-client-cert',
  'x-forwarded-',
  'x-goog-authenticated-user-',
  'x-ms-client-principal',
  'x-remote-',
  'x-ssl-client-',
  'x-webauth-',
];

/** Some WSGI servers read the path from these fields. HTTP clients have no reason to send them. */
const variables = new Set(['path-info', 'script-name']);
/**
 * Fields that are forwarded in their usual spelling only: a field with `_` in place of `-` could give the upstream a
 * second value.
 */
const spelledOnce = new Set(['authorization', 'content-length', 'content-type', 'cookie', 'x-api-key']);

/** Maximum number of field names whose treatment is cached. It is bounded because clients choose the names. */
const namesMax = 1_000;

/**
 * Creates a function that returns the treatment of a field name. CGI and WSGI servers treat `_` and `-` as equal, so by
 * default every name with an underscore is dropped, as nginx does. With `passUnderscores`, a name with an underscore is
 * forwarded if it cannot be confused with a field that has a meaning for security.
 */
export function createTreatments(passUnderscores: boolean): (name: string) => Treatment {
  const treatments = new Map<string, Treatment>();
  return (name) => {
    let treatment = treatments.get(name);
    if (treatment === undefined) {
      treatment = name.includes('_') ? treatUnderscored(foldedName(name), passUnderscores) : treat(name);
      if (treatments.size < namesMax) treatments.set(name, treatment);
    }
    return treatment;
  };
}

function treat(name: string): Treatment {
  if (hopByHop.has(name) || own.has(name) || isOf(ownFamilies, name)) return 'drop';
  return fromProxies.has(name) || isOf(familiesFromProxies, name) ? 'trusted' : 'pass';
}

function treatUnderscored(folded: string, pass: boolean): Treatment {
  const harmless = treat(folded) === 'pass' && !variables.has(folded) && !spelledOnce.has(folded);
  return pass && harmless ? 'pass' : 'drop';
}

function isOf(families: readonly string[], name: string): boolean {
  return families.some((family) => name.startsWith(family));
}

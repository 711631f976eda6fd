import { foldedName } from '../identity-headers.ts';

/**
 * Treatment of a field of the client's request: forwarded, dropped, or forwarded only where a trusted proxy sent it,
 * because a client could forge it.
 */
export type Treatment = 'pass' | 'drop' | 'trusted';

/** Fields of one connection, not of the message (RFC 9110, 7.6.1). `Connection` may name further ones. */
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

/** Fields that Tollgate sets, or removes because they describe another request than the forwarded one. */
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
  // A credential for Tollgate, not for the upstream.
  'x-service-token',
]);
const ownFamilies = ['x-original-', 'x-rewrite-', 'x-tollgate-'];

/** Address or user as a proxy determined them. */
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

/** Some WSGI servers read the path from these; no HTTP client has a reason to send them. */
const variables = new Set(['path-info', 'script-name']);
/** Fields with one spelling only: a second spelling could have another value for the upstream. */
const spelledOnce = new Set(['authorization', 'content-length', 'content-type', 'cookie', 'x-api-key']);

/** Header names that are cached: clients choose them, so their number is bounded. */
const namesMax = 1_000;

/**
 * For CGI and WSGI `_` and `-` are the same, so a name with an underscore is dropped, as nginx does. `passUnderscores`
 * forwards those that cannot be read as a field of another meaning.
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

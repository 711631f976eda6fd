import { foldedName } from '../identity-headers.ts';

/**
 * What becomes of a field of the client's request: it is passed on, dropped, or passed on where a trusted proxy sent
 * it, since only such a proxy can know what the field says.
 */
export type Treatment = 'pass' | 'drop' | 'trusted';

/** These speak of one connection (RFC 9110, 7.6.1), not of the message; those of `Connection` come on top. */
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

/** Written by Tollgate for each request, or not at all. Some describe another request than the one that is forwarded. */
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
  // Opens Tollgate, nothing behind it.
  'x-service-token',
]);
const ownFamilies = ['x-original-', 'x-rewrite-', 'x-tollgate-'];

/** The address or the user as a proxy found them out. */
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

/** Some WSGI servers take the path from these, which no client of HTTP means to send. */
const variables = new Set(['path-info', 'script-name']);
/** What is known under its own name is known: a second spelling could say something else to the upstream. */
const spelledOnce = new Set(['authorization', 'content-length', 'content-type', 'cookie', 'x-api-key']);

/** Header names that are remembered: clients choose them, so their number is bounded. */
const namesMax = 1_000;

/**
 * CGI and WSGI cannot tell `_` from `-`, so a name with an underscore is dropped, as nginx does; `passUnderscores`
 * leaves those that could not be taken for a field of another meaning.
 */
export function createTreatments(passUnderscores: boolean): (name: string) => Treatment {
  const known = new Map<string, Treatment>();
  return (name) => {
    let treatment = known.get(name);
    if (treatment === undefined) {
      treatment = name.includes('_') ? treatUnderscored(foldedName(name), passUnderscores) : treat(name);
      if (known.size < namesMax) known.set(name, treatment);
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

import type { FastifyRequest } from 'fastify';

const readingMethods = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * True for a request that would change something and that a browser sends on behalf of another site. Current browsers
 * report another site in Sec-Fetch-Site, older browsers in Origin; clients other than browsers send neither header. An
 * Origin with the request's Host or with the host of `ownUrl` is not another site: behind a proxy that rewrites Host,
 * only `ownUrl` has the right host.
 */
export function isCrossSiteChange(
  { method, headers }: Pick<FastifyRequest, 'method' | 'headers'>,
  ownUrl = '',
): boolean {
  if (readingMethods.has(method)) return false;
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  const { origin, host } = headers;
  if (origin === undefined) return false;
  const from = URL.parse(origin)?.host;
  return from === undefined || (from !== host && from !== URL.parse(ownUrl)?.host);
}

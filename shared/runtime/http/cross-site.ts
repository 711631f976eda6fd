import type { FastifyRequest } from 'fastify';

const readingMethods = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * True for a request that would change something and that a browser sends on behalf of another site. Browsers name the
 * site in Sec-Fetch-Site, older ones in Origin; a client that is not a browser sends neither. The host of `ownUrl` is
 * accepted beside the host that the request names, for a proxy that writes another Host.
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

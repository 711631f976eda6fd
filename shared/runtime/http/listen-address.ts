import { isIPv6 } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** Starts the listener. Resolves with the URL under which this machine reaches it. */
export async function listenOn(
  app: Pick<FastifyInstance, 'listen' | 'server'>,
  host: string,
  port: number,
  backlog?: number,
): Promise<string> {
  await app.listen({ host: bindAddress(host), port, ...(backlog === undefined ? {} : { backlog }) });
  const bound = app.server.address() as AddressInfo;
  return localUrl(bound.address, bound.port);
}

/** Returns `host:port` in the form of URLs and gRPC, with an IPv6 address in brackets. */
export function authorityOf(host: string, port: number): string {
  const address = bindAddress(host);
  return `${isIPv6(address) ? `[${address}]` : address}:${port}`;
}

/** Returns `::1` for `[::1]`: `listen` does not accept the brackets that URLs need. */
function bindAddress(host: string): string {
  const address = /^\[(.*)\]$/.exec(host)?.[1];
  return address !== undefined && isIPv6(address) ? address : host;
}

/**
 * Returns `localhost` in place of a wildcard address, which clients cannot connect to. A listener on `::` also accepts
 * IPv4.
 */
export function localUrl(address: string, port: number): string {
  const isWildcard = address === '::' || address === '0.0.0.0';
  return `http://${authorityOf(isWildcard ? 'localhost' : address, port)}`;
}

import { isIPv6 } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** Binds the listener. Resolves with the URL by which this machine reaches it. */
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

/** `host:port` for URLs and gRPC, with brackets around an IPv6 address. */
export function authorityOf(host: string, port: number): string {
  const address = bindAddress(host);
  return `${isIPv6(address) ? `[${address}]` : address}:${port}`;
}

/** Removes the brackets of an IPv6 address, because `listen` needs `::1`. */
function bindAddress(host: string): string {
  const address = /^\[(.*)\]$/.exec(host)?.[1];
  return address !== undefined && isIPv6(address) ? address : host;
}

/** URL of a listener. A wildcard address is not a destination, so it becomes localhost. */
export function localUrl(address: string, port: number): string {
  const isWildcard = address === '::' || address === '0.0.0.0';
  return `http://${authorityOf(isWildcard ? 'localhost' : address, port)}`;
}

import { isIPv6 } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** Resolves with the URL under which this machine reaches the listener. */
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

/** `host:port` as URLs and gRPC write it: an IPv6 address stands in brackets. */
export function authorityOf(host: string, port: number): string {
  const address = bindAddress(host);
  return `${isIPv6(address) ? `[${address}]` : address}:${port}`;
}

/** `[::1]`, as a URL writes it, is accepted as `::1`, the form that `listen` takes. */
function bindAddress(host: string): string {
  const address = /^\[(.*)\]$/.exec(host)?.[1];
  return address !== undefined && isIPv6(address) ? address : host;
}

/** A wildcard address is no destination, and with `::` both families answer. */
export function localUrl(address: string, port: number): string {
  const isWildcard = address === '::' || address === '0.0.0.0';
  return `http://${authorityOf(isWildcard ? 'localhost' : address, port)}`;
}

import { AddressBlocks, parseAddress } from '../policy/address-blocks.ts';

export interface ClientAddresses {
  /** Returns the address of the client. `forwarded` is the X-Forwarded-For header. */
  readonly addressFor: (remote: string, forwarded: string | readonly string[] | undefined) => string;
  /** True if a peer is a trusted proxy, in any notation of its address. */
  readonly trusts: (remote: string) => boolean;
}

/** Largest number of X-Forwarded-For entries that are read, counted from the right. */
const hopsMax = 20;

/**
 * Reads X-Forwarded-For from the right, through trusted proxies only: the first address that is not a trusted proxy is
 * the client; the client may have written the entries to its left. The header of an untrusted peer is ignored, so a client
 * cannot choose its address. IPv4-mapped IPv6 is read as IPv4.
 */
export function createClientAddresses(trustedProxies: readonly string[]): ClientAddresses {
  const proxies = new AddressBlocks(trustedProxies);
  return { addressFor, trusts: (remote) => proxies.contains(remote) };

  function addressFor(remote: string, forwarded: string | readonly string[] | undefined): string {
    if (forwarded === undefined || proxies.isEmpty) return remoteAddress(remote);
    const peer = parseAddress(remote);
    if (peer === null || !proxies.has(peer)) return peer?.toString() ?? remote;
    const hops = (typeof forwarded === 'string' ? forwarded : forwarded.join(',')).split(',').slice(-hopsMax);
    let client = peer;
    for (const hop of hops.reverse()) {
      const address = parseAddress(withoutPort(hop.trim()));
      // A trusted proxy wrote an unreadable entry: the entries to its left cannot be trusted.
      if (address === null) break;
      client = address;
      if (!proxies.has(address)) break;
    }
    return client.toString();
  }
}

/**
 * Returns the remote address of a socket in its shortest form. On a listener for both families, an IPv4 client has the
 * address `::ffff:192.0.2.1`. The most frequent form, a plain IPv4 address, is returned without parsing.
 */
export function remoteAddress(remote: string): string {
  if (!remote.includes(':')) return remote;
  return parseAddress(remote)?.toString() ?? remote;
}

/**
 * Returns the part of X-Forwarded-For from the client's address to the end. The client may have written the part before
 * its address.
 */
export function verifiedChain(forwarded: string, ip: string): string {
  if (forwarded === ip) return forwarded;
  const hops = forwarded.split(',').slice(-hopsMax);
  const at = hops.findLastIndex(
    (hop) => hop.trim() === ip || parseAddress(withoutPort(hop.trim()))?.toString() === ip,
  );
  return at === -1
    ? ''
    : hops
        .slice(at)
        .map((hop) => hop.trim())
        .join(', ');
}

/** Some proxies write addresses with ports: `1.2.3.4:5678`, `[::1]:5678`. */
function withoutPort(text: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(text);
  if (bracketed?.[1] !== undefined) return bracketed[1];
  return /^[\d.]+:\d+$/.test(text) ? (text.split(':', 1)[0] ?? text) : text;
}

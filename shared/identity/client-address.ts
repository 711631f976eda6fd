import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Block = [Address, number];

export interface ClientAddresses {
  /** The caller's address as the policy lets it be known. `forwarded` is the X-Forwarded-For header. */
  readonly addressFor: (remote: string, forwarded: string | readonly string[] | undefined) => string;
  /** Whether a peer is a trusted proxy, in whichever form its address is written. */
  readonly trusts: (remote: string) => boolean;
}

/** Longer chains than this are not read further: what lies beyond was written by the caller. */
const hopsMax = 20;
/** Peers of which it is remembered whether they are trusted. */
const peersMax = 1_000;

/**
 * Reads X-Forwarded-For from the right, through trusted proxies only: the first address that is not a trusted proxy
 * is the caller, whatever stands to its left. A header from an untrusted peer is ignored, so an address cannot be
 * claimed. IPv4 written as IPv6 is read as IPv4.
 */
export function createClientAddresses(trustedProxies: readonly string[]): ClientAddresses {
  const blocks = trustedProxies.map(blockOf);
  const peers = new Map<string, boolean>();
  return {
    addressFor,
    trusts: (remote) => {
      let trusted = peers.get(remote);
      if (trusted === undefined) {
        const peer = parse(remote);
        trusted = peer !== null && isTrusted(peer);
        if (peers.size >= peersMax) peers.clear();
        peers.set(remote, trusted);
      }
      return trusted;
    },
  };

  function addressFor(remote: string, forwarded: string | readonly string[] | undefined): string {
    if (forwarded === undefined || blocks.length === 0) return remoteAddress(remote);
    const peer = parse(remote);
    if (peer === null || !isTrusted(peer)) return peer?.toString() ?? remote;
    const hops = (typeof forwarded === 'string' ? forwarded : forwarded.join(',')).split(',').slice(-hopsMax);
    let known = peer;
    for (const hop of hops.reverse()) {
      const address = parse(withoutPort(hop.trim()));
      // A trusted proxy wrote something unreadable: what is known so far is all there is to believe.
      if (address === null) break;
      known = address;
      if (!isTrusted(address)) break;
    }
    return known.toString();
  }

  function isTrusted(address: Address): boolean {
    return blocks.some((block) => block[0].kind() === address.kind() && address.match(block));
  }
}

function blockOf(text: string): Block {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

/**
 * A socket's remote address in its shortest form. On a listener that serves both families an IPv4 client is
 * `::ffff:192.0.2.1`. The common case, a plain IPv4 address, is not parsed.
 */
export function remoteAddress(remote: string): string {
  if (!remote.includes(':')) return remote;
  return parse(remote)?.toString() ?? remote;
}

/** What a chain of X-Forwarded-For says from the caller's own address on; what stands left of it the caller wrote. */
export function verifiedChain(forwarded: string, ip: string): string {
  if (forwarded === ip) return forwarded;
  const hops = forwarded.split(',').slice(-hopsMax);
  const at = hops.findLastIndex(
    (hop) => hop.trim() === ip || parse(withoutPort(hop.trim()))?.toString() === ip,
  );
  return at === -1
    ? ''
    : hops
        .slice(at)
        .map((hop) => hop.trim())
        .join(', ');
}

function parse(text: string): Address | null {
  // A scope (`fe80::1%eth0`) names an interface of this machine, not a caller.
  const [address = ''] = text.split('%', 1);
  return isIP(address) === 0 ? null : ipaddr.process(address);
}

/** `1.2.3.4:5678` and `[::1]:5678` are addresses as some proxies write them. */
function withoutPort(text: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(text);
  if (bracketed?.[1] !== undefined) return bracketed[1];
  return /^[\d.]+:\d+$/.test(text) ? (text.split(':', 1)[0] ?? text) : text;
}

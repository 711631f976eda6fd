import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

export type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Block = [Address, number];

/** Largest number of addresses in the cache of `contains`. */
const cachedMax = 1_000;

/** Addresses and CIDR blocks of a policy. */
export class AddressBlocks {
  readonly #blocks: readonly Block[];
  readonly #cache = new Map<string, boolean>();

  /** Throws if a text is not an address or a block; `isAddressBlock` checks it. */
  constructor(texts: readonly string[]) {
    this.#blocks = texts.map(blockOf);
  }

  get isEmpty(): boolean {
    return this.#blocks.length === 0;
  }

  /** True if an address, in any notation, is in one of the blocks. False for a text that is not an address. */
  contains(text: string): boolean {
    let contained = this.#cache.get(text);
    if (contained === undefined) {
      const address = parseAddress(text);
      contained = address !== null && this.has(address);
      if (this.#cache.size >= cachedMax) this.#cache.clear();
      this.#cache.set(text, contained);
    }
    return contained;
  }

  has(address: Address): boolean {
    return this.#blocks.some((block) => block[0].kind() === address.kind() && address.match(block));
  }
}

/** Whether a text is an address or a CIDR block. */
export function isAddressBlock(text: string): boolean {
  return text.includes('/') ? ipaddr.isValidCIDR(text) : isIP(text) !== 0;
}

/** Whether a block contains all IPv4 addresses or all IPv6 addresses. */
export function isEveryAddress(text: string): boolean {
  return blockOf(text)[1] === 0;
}

/** Parses an address; an IPv4-mapped IPv6 address is returned as IPv4. Null if the text is not an address. */
export function parseAddress(text: string): Address | null {
  // The scope (`%eth0` in `fe80::1%eth0`) names a network interface of this machine and is not part of the address.
  const [address = ''] = text.split('%', 1);
  return isIP(address) === 0 ? null : ipaddr.process(address);
}

function blockOf(text: string): Block {
  if (!text.includes('/')) {
    const address = ipaddr.process(text);
    return [address, address.kind() === 'ipv4' ? 32 : 128];
  }
  const [address, prefix] = ipaddr.parseCIDR(text);
  // Addresses of clients are compared as IPv4, so a block of IPv4-mapped addresses is converted too.
  const isMapped = address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && prefix >= 96;
  return isMapped ? [address.toIPv4Address(), prefix - 96] : [address, prefix];
}

import { hash } from 'node:crypto';
import ipaddr from 'ipaddr.js';

/**
 * Matches the ids that are used in keys unchanged. Other ids are replaced by a hash: ids with braces, which would change the hash
 * tag, with colons, which separate the parts of a key, with other characters, or with more than 64 characters. The hash starts
 * with `~`, which no unchanged id contains.
 */
const plain = /^[A-Za-z0-9_.@-]{1,64}$/;

export function idPart(id: string): string {
  return plain.test(id) ? id : `~${hash('sha256', id, 'base64url').slice(0, 27)}`;
}

/**
 * Returns the part of a key that stands for an address: an IPv4 address (also if it is mapped into IPv6), or the /64 of an IPv6
 * address, because a household or host usually has its own /64.
 */
export function addressPart(ip: string): string {
  if (!ipaddr.isValid(ip)) return idPart(ip);
  const address = ipaddr.process(ip);
  if (address instanceof ipaddr.IPv6) {
    return `${address.parts
      .slice(0, 4)
      .map((part) => part.toString(16))
      .join('-')}_64`;
  }
  return address.toString();
}

/** Hash tags of keys. A tag that belongs to no tenant starts with `=`, which no tenant's tag contains. */
export const tags = {
  tenant: (tenantId: string) => `{${idPart(tenantId)}}`,
  user: (userId: string) => `{=u.${idPart(userId)}}`,
  address: (ip: string) => `{=ip.${addressPart(ip)}}`,
  group: (groupId: string) => `{=g.${idPart(groupId)}}`,
  global: '{=global}',
  nodes: '{=nodes}',
  reports: '{=reports}',
} as const;

/**
 * Returns the name of a window's field in its subject's hash. The name does not contain the limit's number of units, so the usage
 * stays when this number is changed.
 */
export function windowField(name: string, span: string, route: string | null): string {
  const field = `${idPart(name)}:${span}`;
  return route === null ? field : `${field}:${hash('sha256', route, 'base64url').slice(0, 8)}`;
}

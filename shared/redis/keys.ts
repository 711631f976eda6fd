import { hash } from 'node:crypto';
import ipaddr from 'ipaddr.js';

/**
 * What may stand in a key as it is. Everything else (braces, which would move the hash tag; colons, which separate;
 * newlines; ids of 10 kB) is hashed, and a hash begins with `~`, which no plain id contains.
 */
const plain = /^[A-Za-z0-9_.@-]{1,64}$/;

export function idPart(id: string): string {
  return plain.test(id) ? id : `~${hash('sha256', id, 'base64url').slice(0, 27)}`;
}

/** IPv4 as it is, IPv4 in IPv6 as IPv4, IPv6 by /64: one household or host has a whole /64 to itself. */
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

/** Hash tags of what is no tenant begin with `=`, which no tenant's part can. */
export const tags = {
  tenant: (tenantId: string) => `{${idPart(tenantId)}}`,
  user: (userId: string) => `{=u.${idPart(userId)}}`,
  address: (ip: string) => `{=ip.${addressPart(ip)}}`,
  global: '{=global}',
  nodes: '{=nodes}',
} as const;

/** Names a window in its subject's hash by what it is, never by how much it allows: a changed limit keeps its usage. */
export function windowField(name: string, span: string, route: string | null): string {
  const field = `${idPart(name)}:${span}`;
  return route === null ? field : `${field}:${hash('sha256', route, 'base64url').slice(0, 8)}`;
}

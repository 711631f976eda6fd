import { hash } from 'node:crypto';
import ipaddr from 'ipaddr.js';

/**
 * Ids that are used in keys unchanged. All others (with braces, which would move the hash tag; with colons, which separate parts;
 * with newlines; longer than 64 characters) are hashed, and a hash starts with `~`, which no plain id contains.
 */
const plain = /^[A-Za-z0-9_.@-]{1,64}$/;

export function idPart(id: string): string {
  return plain.test(id) ? id : `~${hash('sha256', id, 'base64url').slice(0, 27)}`;
}

/** IPv4 unchanged, IPv4 in IPv6 as IPv4, IPv6 by its /64: one household or host usually has a /64 of its own. */
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

/** Hash tags. Those that belong to no tenant start with `=`, which no tenant's part contains. */
export const tags = {
  tenant: (tenantId: string) => `{${idPart(tenantId)}}`,
  user: (userId: string) => `{=u.${idPart(userId)}}`,
  address: (ip: string) => `{=ip.${addressPart(ip)}}`,
  global: '{=global}',
  nodes: '{=nodes}',
} as const;

/** The field of a window in its subject's hash. It does not contain the number of units: a changed limit keeps its usage. */
export function windowField(name: string, span: string, route: string | null): string {
  const field = `${idPart(name)}:${span}`;
  return route === null ? field : `${field}:${hash('sha256', route, 'base64url').slice(0, 8)}`;
}

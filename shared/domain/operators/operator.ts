/**
 * Roles of operators, each with the rights of the roles before it.
 *
 * - `viewer` reads everything and changes nothing.
 * - `support` also changes one tenant: boosts, blocks, answers to requests, and without an undo resets, portal links, sessions.
 * - `admin` also changes plans, records, keys and the policy, and runs actions on all tenants.
 */
export const roles = ['viewer', 'support', 'admin'] as const;

export type Role = (typeof roles)[number];

/** A person or program with access to the operator console or the admin API. */
export interface Operator {
  readonly name: string;
  readonly role: Role;
}

/** True if an operator with the role `held` may use what needs the role `needed`. */
export function hasRole(held: Role, needed: Role): boolean {
  return roles.indexOf(held) >= roles.indexOf(needed);
}

export function isRole(text: unknown): text is Role {
  return roles.some((role) => role === text);
}

/** Names of operators are printable ASCII, because the audit trail and headers carry them. */
export function isOperatorName(name: string): boolean {
  return /^[\x20-\x7e]{1,100}$/.test(name);
}

import { checkOf, hasShape, isObject, isText, optional } from './shape.ts';
import type { Shape } from './shape.ts';

/** Where an action came from. */
export type AuditSource = 'console' | 'portal' | 'admin-api' | 'cli';

/** An entry of the audit trail: who did what to what, when and why. It never contains a secret. */
export interface AuditEntry {
  /** The same for every copy of the entry, so that an entry that is stored twice is one entry. */
  readonly id: string;
  /** ISO 8601 in UTC. */
  readonly at: string;
  /** Empty: the action concerns no single tenant. */
  readonly tenant_id: string;
  readonly actor: string;
  /** Empty: unknown, for changes of releases before the audit trail. */
  readonly source: AuditSource | '';
  /** A verb from a fixed set: `block`, `boost`, `delete`, `sign-in`, `sign-in-refused`, `portal-link`, … */
  readonly action: string;
  /** A sentence that says what happened. */
  readonly detail: string;
  readonly reason: string;
  /** Values of the changed fields before and after the action; absent if it changed no record. */
  readonly before?: Readonly<Record<string, unknown>>;
  readonly after?: Readonly<Record<string, unknown>>;
  /** Further facts, such as the session of a sign-in. */
  readonly facts?: Readonly<Record<string, string>>;
}

/** Who acts, and where the action came from. */
export interface Author {
  readonly actor: string;
  readonly source: AuditSource;
}

/** The fields of an author. A name alone stands for an author who uses this process, whose source the process adds. */
export function authorFields(author: Author | string): Pick<Author, 'actor'> & Partial<Author> {
  return typeof author === 'string' ? { actor: author } : author;
}

/** Author of what the tenant does in its portal. */
export const tenantItself: Author = { actor: 'the tenant itself', source: 'portal' };

/** Header of a record of the tenants topic with the entry of the change that the record made. */
export const auditHeader = 'tollgate-audit';

/** Times that ClickHouse can store. */
const isInstant = checkOf({ type: 'string', format: 'date-time' }, (value) => {
  const atMs = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return atMs >= 0 && atMs < 1e13;
});
const isFields = checkOf({ type: 'object' }, isObject);

export const auditEntryShape: Shape<AuditEntry> = {
  id: isText,
  at: isInstant,
  tenant_id: isText,
  actor: isText,
  source: isText,
  action: isText,
  detail: isText,
  reason: isText,
  before: optional(isFields),
  after: optional(isFields),
  facts: optional(isFields),
};

/** Reads an entry from its JSON; null if it is not one. */
export function readAuditEntry(text: string): AuditEntry | null {
  try {
    const entry: unknown = JSON.parse(text);
    return hasShape(entry, auditEntryShape) ? entry : null;
  } catch {
    return null;
  }
}

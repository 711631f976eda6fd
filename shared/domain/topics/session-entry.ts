import { checkOf, hasShape, isFiniteNumber, isObject, isText, nullable, oneOf } from './shape.ts';
import type { Shape } from './shape.ts';

/**
 * Value of `tollgate.sessions.v1`, by the id of the session or link: a session of the portal or of the operator console,
 * or a portal link. The lists of sessions show these entries. Whether a session is valid depends on its signed token
 * and on `tollgate.session-ends.v1`, never on an entry.
 */
export interface SessionEntry {
  readonly kind: 'session' | 'link';
  /** Owner of the token: a tenant, or all operators together. */
  readonly owner: string;
  /** Tenant or operator of a session. Of a link: who issued it; empty if unknown. */
  readonly name: string;
  readonly startedAtMs: number;
  readonly expiresAtMs: number;
  /** Time of the latest use, at most some minutes too early; null: a link that was not used. */
  readonly usedAtMs: number | null;
  /** How a session was opened, as the claims of its token state it. Empty for a link. */
  readonly source: Readonly<Record<string, unknown>>;
  /** Network and browser of the sign-in; empty if unknown. */
  readonly network: string;
  readonly agent: string;
}

export const sessionEntryShape: Shape<SessionEntry> = {
  kind: oneOf(['session', 'link']),
  owner: isText,
  name: isText,
  startedAtMs: isFiniteNumber,
  expiresAtMs: isFiniteNumber,
  usedAtMs: nullable(isFiniteNumber),
  source: checkOf({ type: 'object' }, isObject),
  network: isText,
  agent: isText,
};

/** Reads a value of the topic; undefined if it is not valid. */
export function readSessionEntry(value: Buffer): SessionEntry | undefined {
  try {
    const entry: unknown = JSON.parse(value.toString());
    return hasShape(entry, sessionEntryShape) ? entry : undefined;
  } catch {
    return undefined;
  }
}

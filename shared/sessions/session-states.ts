import type { KeyHolder } from '../domain/tenant.ts';
import type { SessionEntry } from '../domain/topics/session-entry.ts';
import type { Clock } from '../runtime/time/clock.ts';
import { operatorSourceOf, operatorsOwner, sourceOf, tenantOwner } from './claims.ts';
import type { SessionSource, Signed } from './claims.ts';
import type { EndedSessions } from './ended-sessions.ts';
import type { Operators } from './operators.ts';

/** `unknown`: this process has not yet read what ends the session. Null: the session is valid. */
export type SessionState = 'ended' | 'unknown' | null;

/** The states of links and sessions, by themselves and by the credentials that opened them. */
export interface SessionStates {
  /** State of a link, or of a session without regard to its source. */
  readonly of: (signed: Signed) => SessionState;
  /** State of a tenant's session: it has ended when its link or API key has ended. */
  readonly ofTenant: (session: Signed & { readonly source: SessionSource }) => SessionState;
  /** True if the credential that opened the session of this entry is no longer valid. */
  readonly isSourceOver: (id: string, entry: SessionEntry) => boolean;
}

export interface SessionStatesOptions {
  readonly ended: Pick<EndedSessions, 'has' | 'ready'>;
  readonly operators: Pick<Operators, 'roleOf'>;
  readonly directory: {
    byApiKeyHash(sha256Hex: string): KeyHolder | undefined;
    ready(): boolean;
  };
  readonly clock: Clock;
}

export function createSessionStates({
  ended,
  operators,
  directory,
  clock,
}: SessionStatesOptions): SessionStates {
  return {
    of: stateOf,
    ofTenant: (session) => stateOfSource(session) ?? stateOf(session),
    isSourceOver(id, { kind, owner, name, startedAtMs, expiresAtMs, source: claims }) {
      if (kind === 'link') return false;
      if (owner === operatorsOwner) {
        const source = operatorSourceOf(claims);
        return source === null || operators.roleOf(source, name) === null;
      }
      const source = sourceOf(claims);
      return source === null || stateOfSource({ id, owner, startedAtMs, expiresAtMs, source }) === 'ended';
    },
  };

  function stateOf(signed: Signed): SessionState {
    if (ended.has(signed)) return 'ended';
    return ended.ready() ? null : 'unknown';
  }

  function stateOfSource({
    source,
    owner,
    startedAtMs,
  }: Signed & { readonly source: SessionSource }): SessionState {
    if (source.via === 'link')
      return ended.has({ id: source.linkId, owner, startedAtMs: source.linkStartedAtMs ?? startedAtMs })
        ? 'ended'
        : null;
    if (source.via !== 'api_key') return null;
    const holder = directory.byApiKeyHash(source.keySha256);
    if (holder === undefined) return directory.ready() ? 'ended' : 'unknown';
    const isOwner = tenantOwner(holder.record.tenant_id) === owner;
    return isOwner && holder.expiresAtMs > clock.now() ? null : 'ended';
  }
}

import type { Clock } from '../runtime/time/clock.ts';
import type { Role } from '../domain/operators/operator.ts';
import { claimsOf, operatorSourceOf, operatorsOwner, sourceOf, tenantOwner } from './claims.ts';
import type { Link, OperatorSession, OperatorSource, SessionSource } from './claims.ts';
import type { Signed, TenantSession } from './claims.ts';
import type { EndedSessions } from './ended-sessions.ts';
import { createSessionStates } from './session-states.ts';
import type { SessionState, SessionStatesOptions } from './session-states.ts';
import type { Operators } from './operators.ts';
import type { ListedEntry, SessionList } from './session-list.ts';
import type { SignedToken, TokenReading, Tokens } from './tokens.ts';

/** `unknown`: this process has not yet read the ended sessions from Kafka, so the session may have ended. */
export type SessionReading<Value> = TokenReading<Value> | { readonly kind: 'ended' | 'unknown' };

/** Where a sign-in came from, as the lists of sessions show it. */
export interface SignInClient {
  readonly network: string;
  readonly agent: string;
}

/** A live session in a list, with its latest use. */
export type ListedSession<Value> = Value &
  SignInClient & {
    /** Time of the latest use, at most ten minutes too early. */
    readonly usedAtMs: number;
  };

/** A live portal link in a list. */
export interface ListedLink extends Signed {
  /** Who issued the link; empty if unknown. */
  readonly issuer: string;
  /** Null: the link was not used. */
  readonly usedAtMs: number | null;
}

/**
 * Sessions of the portal and of the operator console. All state of a session is in its cookie, except whether it was
 * ended early: `EndedSessions` stores that.
 */
export interface Sessions {
  /** Opens a session. It ends after eight hours, or earlier when its source expires. */
  openTenant(
    tenantId: string,
    source: SessionSource,
    sourceEndsAtMs: number,
    client?: SignInClient,
  ): Promise<SignedToken<TenantSession>>;
  /**
   * Reads a session from its cookie. The session is valid only while its source is valid: its API key must be in the
   * record and not expired, and its link must not have been ended. So the deletion of a key, its expiry and the end of a
   * link end the sessions that they opened, in every process, without a further call.
   */
  readTenant(token: string): Promise<SessionReading<TenantSession>>;
  openOperator(
    name: string,
    source: OperatorSource,
    client?: SignInClient,
  ): Promise<SignedToken<OperatorSession>>;
  /**
   * Reads a session with the present role of its operator. A session that an operator's token opened has ended when
   * the operators' file no longer has the token.
   */
  readOperator(token: string): Promise<SessionReading<SignedInOperator>>;
  readLink(token: string): Promise<SessionReading<Link>>;
  /**
   * Ends the session of this cookie in every process. Returns the session; null if there is none, or it had ended before.
   * Rejects if Kafka does not store the change.
   */
  signOutTenant(token: string): Promise<TenantSession | null>;
  signOutOperator(token: string): Promise<OperatorSession | null>;
  /** The live sessions of a tenant, newest first. */
  listTenant(tenantId: string): readonly ListedSession<TenantSession>[];
  /** The live portal links of a tenant, newest first. */
  listLinks(tenantId: string): readonly ListedLink[];
  /** The live sessions of all operators, newest first. */
  listOperators(): readonly ListedSession<SignedInOperator>[];
}

export interface SignedInOperator extends OperatorSession {
  readonly role: Role;
}

export interface SessionsOptions {
  readonly tokens: Tokens;
  readonly operators: Pick<Operators, 'roleOf'>;
  readonly ended: EndedSessions;
  readonly list: Pick<SessionList, 'of' | 'note'>;
  readonly directory: SessionStatesOptions['directory'];
  readonly clock: Clock;
}

export const sessionTtlMsMax = 8 * 3_600_000;

export function createSessions({
  tokens,
  operators,
  ended,
  list,
  directory,
  clock,
}: SessionsOptions): Sessions {
  const states = createSessionStates({ operators, ended, directory, clock });
  return {
    async openTenant(tenantId, source, sourceEndsAtMs, client) {
      const ttlMs = Math.min(sessionTtlMsMax, sourceEndsAtMs - clock.now());
      const signed = await tokens.signTenant(tenantId, source, ttlMs);
      noteUse('session', tenantId, signed.value, client);
      return signed;
    },
    async readTenant(token) {
      const reading = withState(await tokens.readTenant(token), states.ofTenant);
      if (reading.kind === 'valid') noteUse('session', reading.value.tenantId, reading.value);
      return reading;
    },
    async openOperator(name, source, client) {
      const signed = await tokens.signOperator(name, source, sessionTtlMsMax);
      noteUse('session', name, signed.value, client);
      return signed;
    },
    async readOperator(token) {
      const reading = withRole(withState(await tokens.readOperator(token), states.of));
      if (reading.kind === 'valid') noteUse('session', reading.value.name, reading.value);
      return reading;
    },
    async readLink(token) {
      const reading = withState(await tokens.readLink(token), states.of);
      if (reading.kind === 'valid') noteUse('link', '', reading.value);
      return reading;
    },
    signOutTenant: async (token) => signOut(await tokens.readTenant(token)),
    signOutOperator: async (token) => signOut(await tokens.readOperator(token)),
    listTenant: (tenantId) =>
      sessionsOf(tenantOwner(tenantId), (entry) => {
        const source = sourceOf(entry.source);
        if (source === null) return null;
        const session = { ...signedOf(entry), tenantId, source };
        return states.ofTenant(session) === null ? session : null;
      }),
    listLinks: (tenantId) =>
      list.of(tenantOwner(tenantId)).flatMap((entry) => {
        const { name: issuer, usedAtMs } = entry;
        return entry.kind === 'link' ? [{ ...signedOf(entry), issuer, usedAtMs }] : [];
      }),
    listOperators: () =>
      sessionsOf(operatorsOwner, (entry) => {
        const source = operatorSourceOf(entry.source);
        const role = source === null ? null : operators.roleOf(source, entry.name);
        return source === null || role === null
          ? null
          : { ...signedOf(entry), name: entry.name, source, role };
      }),
  };

  function withState<Value>(
    reading: TokenReading<Value>,
    stateOfValue: (value: Value) => SessionState,
  ): SessionReading<Value> {
    const state = reading.kind === 'valid' ? stateOfValue(reading.value) : null;
    return state === null ? reading : { kind: state };
  }

  function withRole(reading: SessionReading<OperatorSession>): SessionReading<SignedInOperator> {
    if (reading.kind !== 'valid') return reading;
    const role = operators.roleOf(reading.value.source, reading.value.name);
    return role === null ? { kind: 'ended' } : { kind: 'valid', value: { ...reading.value, role } };
  }

  /** Adds the session or link to the list, or notes its use there. */
  function noteUse(
    kind: ListedEntry['kind'],
    name: string,
    signed: Signed & { readonly source?: SessionSource | OperatorSource },
    { network, agent }: SignInClient = { network: '', agent: '' },
  ): void {
    list.note({
      ...{ ...signedOf(signed), kind, name, usedAtMs: clock.now(), network, agent },
      source: signed.source === undefined ? {} : claimsOf(signed.source),
    });
  }

  /** The listed sessions of an owner for which `read` returns a session. */
  function sessionsOf<Value>(
    owner: string,
    read: (entry: ListedEntry) => Value | null,
  ): readonly ListedSession<Value>[] {
    return list.of(owner).flatMap((entry) => {
      const session = entry.kind === 'session' ? read(entry) : null;
      const { network, agent, startedAtMs, usedAtMs } = entry;
      return session === null ? [] : [{ ...session, network, agent, usedAtMs: usedAtMs ?? startedAtMs }];
    });
  }

  /** Ending an ended session is allowed, so that a sign-out that Kafka did not store can be repeated. */
  async function signOut<Value extends Signed>(reading: TokenReading<Value>): Promise<Value | null> {
    if (reading.kind !== 'valid') return null;
    const hadEnded = ended.has(reading.value);
    await ended.end(reading.value);
    return hadEnded ? null : reading.value;
  }
}

function signedOf({ id, owner, startedAtMs, expiresAtMs }: Signed): Signed {
  return { id, owner, startedAtMs, expiresAtMs };
}

import type { KeyHolder } from '../domain/tenant.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { Role } from '../domain/operators/operator.ts';
import type { Link, OperatorSession, OperatorSource, SessionSource } from './claims.ts';
import type { Signed, TenantSession } from './claims.ts';
import type { EndedSessions } from './ended-sessions.ts';
import type { Operators } from './operators.ts';
import type { SignedToken, TokenReading, Tokens } from './tokens.ts';

/** `unknown`: this process has not yet read the ended sessions from Kafka, so the session may have ended. */
export type SessionReading<Value> = TokenReading<Value> | { readonly kind: 'ended' | 'unknown' };

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
  ): Promise<SignedToken<TenantSession>>;
  /**
   * Reads a session from its cookie. The session is valid only while its source is valid: its API key must be in the
   * record and not expired, and its link must not have been ended. So the deletion of a key, its expiry and the end of a
   * link end the sessions that they opened, in every process, without a further call.
   */
  readTenant(token: string): Promise<SessionReading<TenantSession>>;
  openOperator(name: string, source: OperatorSource): Promise<SignedToken<OperatorSession>>;
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
}

export interface SignedInOperator extends OperatorSession {
  readonly role: Role;
}

export interface SessionsOptions {
  readonly tokens: Tokens;
  readonly operators: Pick<Operators, 'roleOf'>;
  readonly ended: EndedSessions;
  readonly directory: {
    byApiKeyHash(sha256Hex: string): KeyHolder | undefined;
    ready(): boolean;
  };
  readonly clock: Clock;
}

export const sessionTtlMsMax = 8 * 3_600_000;

export function createSessions({ tokens, operators, ended, directory, clock }: SessionsOptions): Sessions {
  return {
    openTenant: (tenantId, source, sourceEndsAtMs) =>
      tokens.signTenant(tenantId, source, Math.min(sessionTtlMsMax, sourceEndsAtMs - clock.now())),
    readTenant: async (token) => withState(await tokens.readTenant(token), stateOfTenant),
    openOperator: (name, source) => tokens.signOperator(name, source, sessionTtlMsMax),
    readOperator: async (token) => withRole(withState(await tokens.readOperator(token), stateOf)),
    readLink: async (token) => withState(await tokens.readLink(token), stateOf),
    signOutTenant: async (token) => signOut(await tokens.readTenant(token)),
    signOutOperator: async (token) => signOut(await tokens.readOperator(token)),
  };

  function withState<Value>(
    reading: TokenReading<Value>,
    stateOfValue: (value: Value) => 'ended' | 'unknown' | null,
  ): SessionReading<Value> {
    const state = reading.kind === 'valid' ? stateOfValue(reading.value) : null;
    return state === null ? reading : { kind: state };
  }

  function withRole(reading: SessionReading<OperatorSession>): SessionReading<SignedInOperator> {
    if (reading.kind !== 'valid') return reading;
    const role = operators.roleOf(reading.value.source, reading.value.name);
    return role === null ? { kind: 'ended' } : { kind: 'valid', value: { ...reading.value, role } };
  }

  function stateOf(signed: Signed): 'ended' | 'unknown' | null {
    if (ended.has(signed)) return 'ended';
    return ended.ready() ? null : 'unknown';
  }

  function stateOfTenant(session: TenantSession): 'ended' | 'unknown' | null {
    const { source, tenantId } = session;
    if (source.via === 'link' && ended.has({ ...session, id: source.linkId })) return 'ended';
    if (source.via === 'api_key') {
      const holder = directory.byApiKeyHash(source.keySha256);
      if (holder === undefined && !directory.ready()) return 'unknown';
      if (holder?.record.tenant_id !== tenantId || holder.expiresAtMs <= clock.now()) return 'ended';
    }
    return stateOf(session);
  }

  /** Ending an ended session is allowed, so that a sign-out that Kafka did not store can be repeated. */
  async function signOut<Value extends Signed>(reading: TokenReading<Value>): Promise<Value | null> {
    if (reading.kind !== 'valid') return null;
    const hadEnded = ended.has(reading.value);
    await ended.end(reading.value);
    return hadEnded ? null : reading.value;
  }
}

import type { KeyHolder } from '../../../shared/domain/tenant.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { SessionEnds } from './session-ends.ts';
import { tenantOwner } from './signed.ts';
import type { Link, OperatorSession, SessionSource, Signed, TenantSession } from './signed.ts';
import type { Made, Reading, Tokens } from './tokens.ts';

/** `unknown`: whether it was ended cannot be told yet, because Kafka has not been read since the start. */
export type SessionReading<Value> = Reading<Value> | { readonly kind: 'ended' | 'unknown' };

export interface Sessions {
  /** Lasts eight hours, and no longer than its source. */
  openTenant(tenantId: string, source: SessionSource, sourceEndsAtMs: number): Promise<Made<TenantSession>>;
  /** Valid only while what it came from is: the key is in the record and not expired, the link is not ended. */
  readTenant(token: string): Promise<SessionReading<TenantSession>>;
  openOperator(name: string): Promise<Made<OperatorSession>>;
  readOperator(token: string): Promise<SessionReading<OperatorSession>>;
  readLink(token: string): Promise<SessionReading<Link>>;
  /** Ends the session of this cookie in every console process. Rejects where Kafka does not take it. */
  signOutTenant(token: string): Promise<void>;
  signOutOperator(token: string): Promise<void>;
  /** Ends a link, and every session that it opened. */
  endLink(tenantId: string, linkId: string): Promise<void>;
  /** Ends every link and session that the tenant has now, and says so in the log. */
  endAllOf(tenantId: string, actor: string): Promise<void>;
}

export interface SessionsOptions {
  readonly tokens: Tokens;
  readonly ends: SessionEnds;
  readonly directory: {
    byApiKeyHash(sha256Hex: string): KeyHolder | undefined;
    ready(): boolean;
  };
  readonly clock: Clock;
  readonly logger: Logger;
}

export const sessionTtlMsMax = 8 * 3_600_000;
export const linkTtlMsMax = 30 * 86_400_000;

export function createSessions({ tokens, ends, directory, clock, logger }: SessionsOptions): Sessions {
  return {
    openTenant: (tenantId, source, sourceEndsAtMs) =>
      tokens.signTenant(tenantId, source, Math.min(sessionTtlMsMax, sourceEndsAtMs - clock.now())),
    readTenant: async (token) => standing(await tokens.readTenant(token), stateOfTenant),
    openOperator: (name) => tokens.signOperator(name, sessionTtlMsMax),
    readOperator: async (token) => standing(await tokens.readOperator(token), stateOf),
    readLink: async (token) => standing(await tokens.readLink(token), stateOf),
    signOutTenant: async (token) => signOut(await tokens.readTenant(token)),
    signOutOperator: async (token) => signOut(await tokens.readOperator(token)),
    endLink: (tenantId, linkId) =>
      ends.end({ id: linkId, owner: tenantOwner(tenantId), expiresAtMs: clock.now() + linkTtlMsMax }),
    endAllOf: async (tenantId, actor) => {
      await ends.endAll(tenantOwner(tenantId));
      logger.info({ audit: true, actor, action: 'sessions-end', tenant_id: tenantId }, 'sessions ended');
    },
  };

  function standing<Value>(
    reading: Reading<Value>,
    stateOfValue: (value: Value) => 'ended' | 'unknown' | null,
  ): SessionReading<Value> {
    const state = reading.kind === 'valid' ? stateOfValue(reading.value) : null;
    return state === null ? reading : { kind: state };
  }

  function stateOf(signed: Signed): 'ended' | 'unknown' | null {
    if (ends.has(signed)) return 'ended';
    return ends.ready() ? null : 'unknown';
  }

  function stateOfTenant(session: TenantSession): 'ended' | 'unknown' | null {
    const { source, tenantId } = session;
    if (source.via === 'link' && ends.has({ ...session, id: source.linkId })) return 'ended';
    if (source.via === 'api_key') {
      const holder = directory.byApiKeyHash(source.keySha256);
      if (holder === undefined && !directory.ready()) return 'unknown';
      if (holder?.record.tenant_id !== tenantId || holder.expiresAtMs <= clock.now()) return 'ended';
    }
    return stateOf(session);
  }

  /** An ended session may be ended again, for a sign-out that Kafka did not take the first time. */
  async function signOut(reading: Reading<Signed>): Promise<void> {
    if (reading.kind === 'valid') await ends.end(reading.value);
  }
}

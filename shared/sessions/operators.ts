import { hash, timingSafeEqual } from 'node:crypto';
import { isOperatorName } from '../domain/operators/operator.ts';
import type { Operator, Role } from '../domain/operators/operator.ts';
import type { OperatorSource } from './claims.ts';
import type { OperatorEntry, OperatorsFile } from './operators-file.ts';
import { isSameSecret, secretLengthMax } from './secrets.ts';

/** An operator whom a token identified. */
export interface TokenHolder {
  /** Null: the shared admin token, which identifies no person. */
  readonly name: string | null;
  readonly role: Role;
  readonly source: OperatorSource;
}

/** The operators with a token: those of the operators' file, and the shared admin token. */
export interface Operators {
  /** Returns the holder of a token that a client sent; null if the token is not valid. */
  byToken(token: string): TokenHolder | null;
  /** Returns the present role of a session that a token opened; null if it has ended. */
  roleOf(source: OperatorSource, name: string): Role | null;
  /**
   * Returns the actor for a name that a holder of the shared admin token states, or that the OpenID provider states. The
   * name of an operator of the file is marked, so that the audit trail does not attribute the change to that operator.
   */
  actorNamed(name: string, via?: 'admin token' | 'single sign-on'): string;
}

export interface OperatorsOptions {
  /** False: sessions that a token opened have ended. Default: true. */
  readonly tokenSessions?: boolean;
}

export function createOperators(
  file: Pick<OperatorsFile, 'current'>,
  adminToken: string,
  { tokenSessions = true }: OperatorsOptions = {},
): Operators {
  let read: readonly OperatorEntry[] = [];
  let digests: readonly Digest[] = [];
  return {
    byToken(token) {
      if (token === '' || token.length > secretLengthMax) return null;
      const digest = hash('sha256', token, 'buffer');
      let found: OperatorEntry | null = null;
      // Every digest is compared, so that the duration reveals neither a match nor its position.
      for (const one of digestsNow()) if (timingSafeEqual(one.digest, digest)) found = one.entry;
      if (found !== null)
        return {
          name: found.name,
          role: found.role,
          source: { via: 'token', tokenSha256: found.token_sha256 },
        };
      if (!isSameSecret(token, adminToken)) return null;
      return { name: null, role: 'admin', source: { via: 'admin_token' } };
    },
    roleOf: (source, name) => {
      if (source.via !== 'oidc' && !tokenSessions) return null;
      switch (source.via) {
        case 'admin_token':
          return 'admin';
        case 'oidc':
          return source.role;
        case 'token':
          return (
            file.current().find((one) => one.name === name && one.token_sha256 === source.tokenSha256)
              ?.role ?? null
          );
      }
    },
    actorNamed: (name, via = 'admin token') =>
      file.current().some((one) => one.name.toLowerCase() === name.toLowerCase()) ? `${name} (${via})` : name,
  };

  /** The digests of the tokens of the file. They are computed again after the file has changed. */
  function digestsNow(): readonly Digest[] {
    const entries = file.current();
    if (entries !== read) {
      read = entries;
      digests = entries.map((entry) => ({ entry, digest: Buffer.from(entry.token_sha256, 'hex') }));
    }
    return digests;
  }
}

interface Digest {
  readonly entry: OperatorEntry;
  readonly digest: Buffer;
}

/** The operator of a token, with the name that the holder of the shared admin token states. */
export function operatorOf(operators: Operators, holder: TokenHolder, stated: string): Operator {
  const name = isOperatorName(stated.trim()) ? stated.trim() : 'admin';
  return { name: holder.name ?? operators.actorNamed(name), role: holder.role };
}

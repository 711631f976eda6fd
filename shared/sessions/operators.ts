import { readFile } from 'node:fs/promises';
import { hash, timingSafeEqual } from 'node:crypto';
import { Ajv } from 'ajv';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { parse } from 'yaml';
import { isOperatorName, roles } from '../domain/operators/operator.ts';
import type { Operator, Role } from '../domain/operators/operator.ts';
import { TollgateError, messageOf } from '../runtime/errors.ts';
import type { OperatorSource } from './claims.ts';
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

const OperatorsFile = Type.Object(
  {
    operators: Type.Array(
      Type.Object(
        {
          name: Type.String({ minLength: 1, maxLength: 100, pattern: '^[\\x20-\\x7e]+$' }),
          role: Type.Enum([...roles]),
          token_sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
        },
        { additionalProperties: false },
      ),
      { maxItems: 1_000 },
    ),
  },
  { additionalProperties: false },
);

/** An operator of the operators' file. */
export type OperatorEntry = Static<typeof OperatorsFile>['operators'][number];

/**
 * Reads the operators' file (YAML or JSON). An empty path means that there is none. Throws CONFIG_INVALID with every
 * violation.
 */
export async function readOperatorsFile(path: string): Promise<readonly OperatorEntry[]> {
  if (path === '') return [];
  let content: unknown;
  try {
    content = parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new TollgateError('CONFIG_INVALID', `TOLLGATE_OPERATORS_FILE: ${messageOf(cause)}`, { cause });
  }
  const ajv = new Ajv({ allErrors: true });
  const validate = ajv.compile<Static<typeof OperatorsFile>>(OperatorsFile);
  if (!validate(content)) {
    const violations = ajv.errorsText(validate.errors, { dataVar: 'file', separator: '\n  ' });
    throw new TollgateError('CONFIG_INVALID', `TOLLGATE_OPERATORS_FILE, ${path}:\n  ${violations}`);
  }
  const { operators } = content;
  for (const field of ['name', 'token_sha256'] as const)
    if (new Set(operators.map((one) => one[field])).size < operators.length)
      throw new TollgateError('CONFIG_INVALID', `TOLLGATE_OPERATORS_FILE, ${path}: a ${field} occurs twice`);
  return operators;
}

export interface OperatorsOptions {
  /** False: sessions that a token opened have ended. Default: true. */
  readonly tokenSessions?: boolean;
}

export function createOperators(
  entries: readonly OperatorEntry[],
  adminToken: string,
  { tokenSessions = true }: OperatorsOptions = {},
): Operators {
  const digests = entries.map((entry) => ({ entry, digest: Buffer.from(entry.token_sha256, 'hex') }));
  return {
    byToken(token) {
      if (token === '' || token.length > secretLengthMax) return null;
      const digest = hash('sha256', token, 'buffer');
      let found: OperatorEntry | null = null;
      // Every digest is compared, so that the duration reveals neither a match nor its position.
      for (const one of digests) if (timingSafeEqual(one.digest, digest)) found = one.entry;
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
            entries.find((one) => one.name === name && one.token_sha256 === source.tokenSha256)?.role ?? null
          );
      }
    },
    actorNamed: (name, via = 'admin token') =>
      entries.some((one) => one.name.toLowerCase() === name.toLowerCase()) ? `${name} (${via})` : name,
  };
}

/** The operator of a token, with the name that the holder of the shared admin token states. */
export function operatorOf(operators: Operators, holder: TokenHolder, stated: string): Operator {
  const name = isOperatorName(stated.trim()) ? stated.trim() : 'admin';
  return { name: holder.name ?? operators.actorNamed(name), role: holder.role };
}

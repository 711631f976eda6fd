import { createHash, timingSafeEqual } from 'node:crypto';
import { Type } from 'typebox';
import { secretVariable } from '../runtime/config.ts';

/**
 * Longest text that is hashed, in UTF-16 units. No configured secret is longer, so a longer text is rejected at once.
 */
export const secretLengthMax = 4_096;

/** Environment variables of processes that sign or verify tokens of portal links and sessions. */
export const sessionVariables = {
  TOLLGATE_ADMIN_TOKEN: secretVariable(
    'Token that opens the admin API and the operator console.',
    secretLengthMax,
  ),
  TOLLGATE_OPERATORS_FILE: Type.String({
    default: '',
    description:
      'Path of a YAML or JSON file with the operators who have tokens of their own: `operators`, each with `name`, `role` ' +
      '(`viewer`, `support` or `admin`) and `token_sha256`. Read again after each edit.',
  }),
  TOLLGATE_PORTAL_SECRET: secretVariable('Signs portal links and sessions.'),
};

/**
 * Compares a secret that a client sent with the expected secret. Both are hashed first, so that the duration depends
 * neither on the length of the secret nor on the length of a common prefix. Returns false if the expected secret is
 * empty.
 */
export function isSameSecret(presented: string, expected: string): boolean {
  if (presented.length > secretLengthMax) return false;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return expected !== '' && timingSafeEqual(digest(presented), digest(expected));
}

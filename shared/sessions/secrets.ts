import { createHash, timingSafeEqual } from 'node:crypto';
import { secretVariable } from '../runtime/config.ts';

/** No configured secret is longer: longer texts are refused without hashing them. */
export const secretLengthMax = 4_096;

/** Environment variables of the processes that sign or read portal links and sessions. */
export const sessionVariables = {
  TOLLGATE_ADMIN_TOKEN: secretVariable(
    'Token that opens the admin API and the operator console.',
    secretLengthMax,
  ),
  TOLLGATE_PORTAL_SECRET: secretVariable('Signs portal links and sessions.'),
};

/**
 * Compares a presented secret with the expected one in constant time. Both are hashed first, so that the duration
 * depends neither on the length nor on a common prefix. An empty expected secret matches nothing.
 */
export function isSameSecret(presented: string, expected: string): boolean {
  if (presented.length > secretLengthMax) return false;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return expected !== '' && timingSafeEqual(digest(presented), digest(expected));
}

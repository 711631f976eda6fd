import { createHash, timingSafeEqual } from 'node:crypto';

/** No configured secret is longer: longer texts are refused without hashing them. */
export const secretLengthMax = 4_096;

/**
 * Compares a presented secret with the expected one in constant time. Both are hashed first, so that the duration
 * depends neither on the length nor on a common prefix. An empty expected secret matches nothing.
 */
export function isSameSecret(presented: string, expected: string): boolean {
  if (presented.length > secretLengthMax) return false;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return expected !== '' && timingSafeEqual(digest(presented), digest(expected));
}

import { validate, version } from 'uuid';

/**
 * Returns the Unix milliseconds at which a UUIDv7 was created; null for any other text. An id in upper case is refused:
 * ids are stored as bits and read back in lower case, so the client would receive a different text.
 */
export function uuidTimeMs(id: string): number | null {
  if (!validate(id) || version(id) !== 7 || id !== id.toLowerCase()) return null;
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

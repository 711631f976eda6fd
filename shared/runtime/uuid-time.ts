import { validate, version } from 'uuid';

/**
 * Creation time of a UUIDv7 in Unix milliseconds; null for any other text. Upper case is refused: an id is stored as its
 * bits, and reading it back in lower case would return another id.
 */
export function uuidTimeMs(id: string): number | null {
  if (!validate(id) || version(id) !== 7 || id !== id.toLowerCase()) return null;
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

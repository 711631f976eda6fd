import { endOfString } from '../../../shared/domain/json-bytes.ts';

const [openBracket, closeBracket] = [0x5b, 0x5d];
const [openBrace, closeBrace] = [0x7b, 0x7d];
const [comma, quote] = [0x2c, 0x22];

export interface JsonMembers {
  /** Texts of the members, the first `countMax` of them. */
  readonly texts: readonly Buffer[];
  readonly count: number;
}

/**
 * Cuts the text of a JSON array into the texts of its members, so that a member that is not JSON leaves the others
 * readable. Null where the brackets of the whole do not match. Works on bytes: what separates members is ASCII, and no
 * byte of a longer UTF-8 sequence is.
 */
export function jsonMembers(bytes: Buffer, countMax: number): JsonMembers | null {
  const begin = skipBlanks(bytes, 0);
  if (bytes[begin] !== openBracket) return null;
  const texts: Buffer[] = [];
  let count = 0;
  let start = begin + 1;
  let depth = 1;
  let at = start;
  for (; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === quote) {
      at = endOfString(bytes, at);
    } else if (byte === openBrace || byte === openBracket) {
      depth += 1;
    } else if (byte === closeBrace || byte === closeBracket) {
      depth -= 1;
      if (depth === 0) break;
    } else if (byte === comma && depth === 1) {
      take(at);
      start = at + 1;
    }
  }
  if (bytes[at] !== closeBracket || skipBlanks(bytes, at + 1) !== bytes.length) return null;
  if (count > 0 || skipBlanks(bytes, start) < at) take(at);
  return { texts, count };

  function take(end: number): void {
    if (count < countMax) texts.push(bytes.subarray(start, end));
    count += 1;
  }
}

/** True where the text of a JSON value begins an array. Blanks before it are skipped, however many. */
export function beginsArray(bytes: Buffer): boolean {
  return bytes[skipBlanks(bytes, 0)] === openBracket;
}

function skipBlanks(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at += 1;
  return at;
}

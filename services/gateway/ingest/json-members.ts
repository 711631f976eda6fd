import { endOfString } from '../../../shared/domain/json-bytes.ts';

const [openBracket, closeBracket] = [0x5b, 0x5d];
const [openBrace, closeBrace] = [0x7b, 0x7d];
const [comma, quote] = [0x2c, 0x22];

export interface JsonMembers {
  /** The first `countMax` members of the array, each as text. */
  readonly texts: readonly Buffer[];
  readonly count: number;
}

/**
 * Splits the text of a JSON array into the texts of its members, so that one member that is not JSON does not make the
 * others unreadable. Returns null if the brackets do not match. The function works on bytes: brackets, commas and quotes are ASCII,
 * and no byte of a longer UTF-8 sequence is in the range of ASCII.
 */
export function jsonMembers(bytes: Buffer, countMax: number): JsonMembers | null {
  const begin = skipWhitespace(bytes, 0);
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
      addMember(at);
      start = at + 1;
    }
  }
  if (bytes[at] !== closeBracket || skipWhitespace(bytes, at + 1) !== bytes.length) return null;
  if (count > 0 || skipWhitespace(bytes, start) < at) addMember(at);
  return { texts, count };

  function addMember(end: number): void {
    if (count < countMax) texts.push(bytes.subarray(start, end));
    count += 1;
  }
}

/** True if the first byte that is not whitespace opens a JSON array. */
export function beginsArray(bytes: Buffer): boolean {
  return bytes[skipWhitespace(bytes, 0)] === openBracket;
}

function skipWhitespace(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at += 1;
  return at;
}

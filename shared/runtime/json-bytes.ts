import { isUtf8 } from 'node:buffer';

export type JsonReading = { readonly value: unknown } | { readonly problem: string };

/**
 * Reads JSON text in UTF-8. Bytes that are no UTF-8 are a problem: as replacement characters they would make two
 * different texts equal. `problem` is the end of a sentence.
 */
export function readJson(bytes: Buffer, depthMax = Infinity): JsonReading {
  if (!isUtf8(bytes)) return { problem: 'is not UTF-8' };
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    return { problem: 'is not JSON' };
  }
  return depthMax !== Infinity && isDeeper(value, depthMax)
    ? { problem: `is nested deeper than ${depthMax} levels` }
    : { value };
}

const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d];
const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a];

/**
 * A name that one object of a JSON text has twice, or null. Readers differ in which of the two they take, so that a text with
 * one says different things to different programs. The text must be JSON.
 */
export function repeatedName(bytes: Buffer): string | null {
  // The names of each open object; null for a list.
  const open: (Set<string> | null)[] = [];
  let isName = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === quote) {
      const start = at;
      at = endOfString(bytes, at);
      if (!isName) continue;
      const name = JSON.parse(bytes.toString('utf8', start, at + 1)) as string;
      const names = open.at(-1);
      if (names?.has(name) === true) return name;
      names?.add(name);
    } else if (byte === openBrace) {
      open.push(new Set());
      isName = true;
    } else if (byte === openBracket) {
      open.push(null);
      isName = false;
    } else if (byte === closeBrace || byte === closeBracket) {
      open.pop();
      isName = false;
    } else if (byte === colon) {
      isName = false;
    } else if (byte === comma) {
      isName = open.at(-1) instanceof Set;
    }
  }
  return null;
}

/** Index of the quote that ends the string which begins at `from`; the length where none does. */
export function endOfString(bytes: Buffer, from: number): number {
  for (let at = from + 1; at < bytes.length; at += 1) {
    if (bytes[at] === backslash) at += 1;
    else if (bytes[at] === quote) return at;
  }
  return bytes.length;
}

/** Objects and lists inside each other: whatever works on them recursively, as writing JSON does, has a stack that ends. */
export function isDeeper(value: unknown, depthMax: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depthMax === 0) return true;
  for (const inner of Object.values(value)) if (isDeeper(inner, depthMax - 1)) return true;
  return false;
}

export type JsonReading = { readonly value: unknown } | { readonly problem: string };

/** Keeps a byte order mark, so that JSON.parse refuses it. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads JSON text in UTF-8, nested at most `depthMax` levels deep, in which no object repeats a name: JSON readers differ
 * in which of two members they return, and Tollgate must store the value that the sender's reader returns. Bytes that are
 * not UTF-8 are refused, because replacement characters would make different texts equal. `problem` ends a sentence.
 */
export function readUniqueJson(bytes: Buffer, depthMax: number): JsonReading {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return { problem: 'is not UTF-8' };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: 'is not JSON' };
  }
  if (isDeeper(value, depthMax)) return { problem: `is nested deeper than ${depthMax} levels` };
  const name = repeatedName(text, value);
  return name === null ? { value } : { problem: `has the member ${JSON.stringify(name)} twice` };
}

const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d];
const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a];

/**
 * A name that one object of a JSON text has twice, or null. `value` is the parsed text. If a name is repeated, `value` has
 * fewer members than the text has names; this cheap comparison comes first, because repeated names are rare.
 */
export function repeatedName(text: string, value: unknown): string | null {
  return namesIn(text) === membersOf(value) ? null : firstRepeated(Buffer.from(text));
}

function namesIn(text: string): number {
  let names = 0;
  for (let open = text.indexOf('"'); open >= 0;) {
    let end = text.indexOf('"', open + 1);
    while (end >= 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
    if (end < 0) break;
    let next = end + 1;
    while (isBlank(text.charCodeAt(next))) next += 1;
    if (text.charCodeAt(next) === colon) names += 1;
    open = text.indexOf('"', next);
  }
  return names;
}

function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text.charCodeAt(first - 1) === backslash) first -= 1;
  return (at - first) % 2 === 1;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let members = 0;
  if (Array.isArray(value)) {
    for (const item of value) members += membersOf(item);
    return members;
  }
  const fields = value as Readonly<Record<string, unknown>>;
  for (const name in fields) members += 1 + membersOf(fields[name]);
  return members;
}

function firstRepeated(bytes: Buffer): string | null {
  // The names of each open object; null for an open array.
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

/** Index of the quote that closes the string starting at `from`; the length if no quote closes it. */
export function endOfString(bytes: Buffer, from: number): number {
  for (let at = from + 1; at < bytes.length; at += 1) {
    if (bytes[at] === backslash) at += 1;
    else if (bytes[at] === quote) return at;
  }
  return bytes.length;
}

/** Whether objects and arrays are nested deeper than `depthMax`. Recursive code, JSON.stringify included, would overflow its stack. */
export function isDeeper(value: unknown, depthMax: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depthMax === 0) return true;
  for (const inner of Object.values(value)) if (isDeeper(inner, depthMax - 1)) return true;
  return false;
}

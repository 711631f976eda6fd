export type JsonReading = { readonly value: unknown } | { readonly problem: string };

/** Keeps a byte order mark in the text, so that `JSON.parse` rejects the text. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses JSON text in UTF-8 that is nested at most `depthMax` levels deep. Rejects an object that has two members
 * with the same name: JSON parsers differ in which member they return, so Tollgate could store another value than the
 * sender meant. Rejects bytes that are not UTF-8: with replacement characters, different texts would become equal.
 * `problem` completes a sentence whose subject is the text: `is not UTF-8`.
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
 * Returns a name that occurs twice in one object of a JSON text, or null. `value` is the parsed text. Repeated names
 * are rare, so a cheap check comes first: with a repeated name, `value` has fewer members than the text has names.
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
  for (const name in fields) {
    const field = fields[name];
    members += typeof field === 'object' ? 1 + membersOf(field) : 1;
  }
  return members;
}

function firstRepeated(bytes: Buffer): string | null {
  // The names in each object that is open at this position; null for an open array.
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

/** Index of the quote that ends the string starting at `from`; the length of the text if there is none. */
export function endOfString(bytes: Buffer, from: number): number {
  for (let at = from + 1; at < bytes.length; at += 1) {
    if (bytes[at] === backslash) at += 1;
    else if (bytes[at] === quote) return at;
  }
  return bytes.length;
}

/**
 * Whether objects and arrays are nested deeper than `depthMax`. Deeper nesting would overflow the stack of recursive
 * code such as `JSON.stringify`.
 */
export function isDeeper(value: unknown, depthMax: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depthMax === 0) return true;
  if (Array.isArray(value)) return value.some((item) => isDeeper(item, depthMax - 1));
  // Unlike `Object.values`, the loop allocates nothing. This function reads every event.
  const fields = value as Readonly<Record<string, unknown>>;
  for (const name in fields) {
    const field = fields[name];
    if (typeof field === 'object' && isDeeper(field, depthMax - 1)) return true;
  }
  return false;
}

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

/** Objects and lists inside each other: whatever works on them recursively, as writing JSON does, has a stack that ends. */
export function isDeeper(value: unknown, depthMax: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depthMax === 0) return true;
  for (const inner of Object.values(value)) if (isDeeper(inner, depthMax - 1)) return true;
  return false;
}

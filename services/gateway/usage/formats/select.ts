import { pathOf } from '../json/pointers.ts';
import type { Selection } from '../json/pointers.ts';

/** Longest source of an id or a model name, in bytes. */
const labelBytesMax = 512;

/** Selects numbers of the report: `{ name: pattern }`. */
export function figures(patterns: Readonly<Record<string, string>>): Selection[] {
  return Object.entries(patterns).map(([name, pattern]) => ({ path: pathOf(pattern), name, kind: 'value' }));
}

/** Selects values that describe the response: its id, model, and so on. */
export function labels(patterns: Readonly<Record<string, string>>): Selection[] {
  return Object.entries(patterns).map(([name, pattern]) => ({
    path: pathOf(pattern),
    name,
    kind: 'value',
    bytesMax: labelBytesMax,
  }));
}

/** Selects output text, of which only the bytes are counted. */
export function texts(patterns: readonly string[]): Selection[] {
  return patterns.map((pattern) => ({ path: pathOf(pattern), name: 'text', kind: 'text' }));
}

import { LineCounter, isCollection, isMap, isNode, isScalar, parseDocument } from 'yaml';
import type { Document, Node } from 'yaml';
import { TollgateError } from '../../runtime/errors.ts';

/** Keys and indexes from the top of the file to a value: `['plans', 'free', 'limits', 0, 'limit']`. */
export type FieldPath = readonly (string | number)[];

/**
 * What is wrong with one policy file, each mistake with the line and column where it stands. Mistakes are gathered,
 * so that an author sees all of them at once.
 */
export interface Mistakes {
  /** `at: 'key'` points at the key itself instead of its value, for keys that should not be there. */
  add(path: FieldPath, text: string, at?: 'key' | 'value'): void;
  /** Throws POLICY_INVALID with every mistake, in the order of the lines; returns where there is none. */
  throwIfAny(): void;
}

export interface PolicyDocument {
  readonly value: unknown;
  readonly mistakes: Mistakes;
}

/** Reads YAML 1.2 and keeps positions. Throws POLICY_INVALID where the text is not YAML at all. */
export function readDocument(path: string, text: string): PolicyDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const mistakes = gather(path, document, lines);
  for (const error of document.errors) mistakes.addAt(error.pos[0], '', firstLineOf(error.message));
  mistakes.throwIfAny();
  // Aliases are how a few bytes become gigabytes; a policy has no use for more than a handful.
  return { value: document.toJS({ maxAliasCount: 50 }) as unknown, mistakes };
}

interface PositionedMistakes extends Mistakes {
  addAt(offset: number, field: string, text: string): void;
}

function gather(path: string, document: Document.Parsed, lines: LineCounter): PositionedMistakes {
  const found = new Map<string, number>();
  const addAt = (offset: number, field: string, text: string): void => {
    const { line, col } = lines.linePos(offset);
    found.set(`${path}:${line}:${col}: ${field === '' ? '' : `${field}: `}${text}`, offset);
  };
  return {
    addAt,
    add: (fieldPath, text, at = 'value') => addAt(offsetOf(document, fieldPath, at), spell(fieldPath), text),
    throwIfAny: () => {
      if (found.size === 0) return;
      const inOrder = [...found].sort((a, b) => a[1] - b[1]).map(([mistake]) => mistake);
      throw new TollgateError('POLICY_INVALID', inOrder.join('\n'));
    },
  };
}

/** Where a value begins; for one that is missing, where the nearest thing around it begins. */
function offsetOf(document: Document.Parsed, path: FieldPath, at: 'key' | 'value'): number {
  let node: unknown = document.contents;
  let offset = startOf(node, 0);
  for (const [depth, step] of path.entries()) {
    if (!isCollection(node)) return offset;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => (isScalar(key) ? String(key.value) : '') === String(step));
      if (pair === undefined) return offset;
      if (at === 'key' && depth === path.length - 1) return startOf(pair.key, offset);
      offset = startOf(pair.value, startOf(pair.key, offset));
      node = pair.value;
    } else {
      node = node.get(step, true);
      offset = startOf(node, offset);
    }
  }
  return offset;
}

function startOf(node: unknown, otherwise: number): number {
  return (isNode(node) ? (node as Node).range?.[0] : undefined) ?? otherwise;
}

/** `plans.free.limits[0].limit` */
function spell(path: FieldPath): string {
  return path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : text === '' ? step : `${text}.${step}`),
    '',
  );
}

function firstLineOf(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}

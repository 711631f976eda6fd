import { LineCounter, isCollection, isMap, isNode, isScalar, parseDocument } from 'yaml';
import type { Document, Node } from 'yaml';
import { TollgateError, messageOf } from '../../runtime/errors.ts';

/** Path of keys and indexes from the top of the file to a value: `['plans', 'free', 'limits', 0, 'limit']`. */
export type FieldPath = readonly (string | number)[];

/**
 * Collects the violations of a policy file, each with its line and column, so that the author gets all of them at
 * once.
 */
export interface Violations {
  /**
   * Adds a violation. With `at: 'key'` its position is that of the key, not of the value; used for keys that are not
   * allowed.
   */
  add(path: FieldPath, text: string, at?: 'key' | 'value'): void;
  /** Throws POLICY_INVALID with all violations, ordered by line. Does nothing if there are none. */
  throwIfAny(): void;
}

export interface PolicyDocument {
  readonly value: unknown;
  readonly violations: Violations;
}

/** Parses YAML 1.2 and keeps the positions. Throws POLICY_INVALID if the text is not YAML. */
export function readDocument(path: string, text: string): PolicyDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const violations = gather(path, document, lines);
  for (const error of document.errors) violations.addAt(error.pos[0], '', firstLineOf(error.message));
  violations.throwIfAny();
  return { value: valueOf(document, violations), violations };
}

/** The value of the document. An alias without an anchor, or too many aliases, are violations. */
function valueOf(document: Document.Parsed, violations: PositionedViolations): unknown {
  try {
    // Without a bound, aliases in a small file could expand to gigabytes.
    return document.toJS({ maxAliasCount: 50 }) as unknown;
  } catch (error) {
    violations.addAt(document.contents?.range[0] ?? 0, '', firstLineOf(messageOf(error)));
    violations.throwIfAny();
    throw error;
  }
}

interface PositionedViolations extends Violations {
  addAt(offset: number, field: string, text: string): void;
}

function gather(path: string, document: Document.Parsed, lines: LineCounter): PositionedViolations {
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
      const inOrder = [...found].sort((a, b) => a[1] - b[1]).map(([violation]) => violation);
      throw new TollgateError('POLICY_INVALID', inOrder.join('\n'));
    },
  };
}

/**
 * Offset of a value in the text. For a missing value: the offset of the innermost existing map or list on its path.
 */
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

/** Formats a path: `plans.free.limits[0].limit` */
function spell(path: FieldPath): string {
  return path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : text === '' ? step : `${text}.${step}`),
    '',
  );
}

function firstLineOf(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}

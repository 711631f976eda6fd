import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ErrorObject } from 'ajv';
import type { FieldPath, Violations } from './violations.ts';
import { policyFileSchema } from './schema.ts';
import type { PolicyFile } from './schema.ts';

const conforms = new Ajv2020({ allErrors: true, verbose: true, strict: false }).compile<PolicyFile>(
  policyFileSchema,
);

/**
 * Validates a file against the schema. Returns the file with its type. For an invalid file, adds all violations to
 * `violations` and returns null.
 */
export function validateFile(value: unknown, violations: Violations): PolicyFile | null {
  if (conforms(value)) return value;
  const errors = conforms.errors ?? [];
  const unions = errors.filter(({ keyword }) => keyword === 'anyOf').map(({ instancePath }) => instancePath);
  for (const error of errors) {
    // For a union the validator reports an error for each branch and one for the union; only the last is useful.
    const branch =
      error.schemaPath.includes('/anyOf/') && unions.some((at) => error.instancePath.startsWith(at));
    if (!branch) explain(error, value, violations);
  }
  return null;
}

function explain(error: ErrorObject, file: unknown, violations: Violations): void {
  const path = pathOf(error.instancePath, file);
  const params = error.params as Record<string, unknown>;
  const description = (error.parentSchema as { description?: string } | undefined)?.description;
  if (error.keyword === 'additionalProperties') {
    const key = String(params['additionalProperty']);
    violations.add([...path, key], adviceForKey(key, (error.parentSchema ?? {}) as KeyedSchema), 'key');
  } else if (error.keyword === 'required') {
    const key = String(params['missingProperty']);
    const properties = (
      error.parentSchema as { properties?: Record<string, { description?: string }> } | undefined
    )?.properties;
    const expected = properties?.[key]?.description;
    violations.add([...path, key], `is missing${expected === undefined ? '' : `; it must be ${expected}`}`);
  } else {
    const expected = description ?? error.message ?? 'something else';
    violations.add(path, `is ${shown(error.data)}, but must be ${expected}`);
  }
}

interface KeyedSchema {
  /** The fixed keys of a mapping. */
  readonly properties?: object;
  /** Patterns of the keys that the author names. */
  readonly patternProperties?: object;
}

function adviceForKey(key: string, { properties = {}, patternProperties = {} }: KeyedSchema): string {
  const allowed = Object.keys(properties);
  const [pattern] = Object.keys(patternProperties);
  if (allowed.length === 0) {
    const names =
      pattern?.includes('A-Z') === false ? '48 lower-case letters, digits' : '64 letters, digits, "-"';
    return `is not a usable name; use up to ${names} or "_"`;
  }
  const others = pattern === undefined ? '' : ', or the name of a measure';
  return `is not a known key${nearest(key, allowed)}; remove it or write one of: ${allowed.join(', ')}${others}`;
}

/** Converts a JSON pointer to a path. A part of the pointer is an index if the file has a list at that point. */
function pathOf(pointer: string, file: unknown): FieldPath {
  const path: (string | number)[] = [];
  let value = file;
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    const step = Array.isArray(value) ? Number(key) : key;
    path.push(step);
    value = (value as Record<string | number, unknown> | null | undefined)?.[step];
  }
  return path;
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return 'empty';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** The text ` (did you mean "limit"?)` if an allowed key is similar to the unknown key. */
function nearest(key: string, allowed: readonly string[]): string {
  const close = allowed.find(
    (candidate) => distance(key.toLowerCase(), candidate) <= Math.max(1, key.length / 3),
  );
  return close === undefined ? '' : ` (did you mean "${close}"?)`;
}

/** Levenshtein distance. Only one row of the matrix is in memory. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= Math.min(a.length, 64); i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

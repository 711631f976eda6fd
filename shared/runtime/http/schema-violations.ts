import { nounFor } from '../../domain/text/counted.ts';

/**
 * One violation of a schema by a document: the field, and a reason that completes a sentence which begins with the
 * field.
 */
export interface Violation {
  /** Path with dots, e.g. `boosts.0.reason`; empty for the document itself. */
  readonly field: string;
  readonly reason: string;
}

/** The fields of an ajv error that are read here. `data` is present only if ajv runs with `verbose`. */
export interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly schemaPath: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message?: string | undefined;
  readonly data?: unknown;
}

const violationsMax = 20;

/**
 * Converts the errors of ajv to violations. Returns only the first violations, because a document may have thousands.
 */
export function violationsFrom(errors: readonly SchemaError[]): readonly Violation[] {
  const unions = new Set(
    errors.filter(({ keyword }) => keyword === 'anyOf').map(({ instancePath }) => instancePath),
  );
  return (
    errors
      // For a union, ajv reports an error for each of its branches. Only the error of the union itself is useful.
      .filter(
        ({ schemaPath, instancePath }) => !(schemaPath.includes('/anyOf/') && isWithin(instancePath, unions)),
      )
      .slice(0, violationsMax)
      .map(violationOf)
  );
}

/** Returns all violations as one text. `whole` is the name of the document, for a violation without a field. */
export function textOfViolations(violations: readonly Violation[], whole: string): string {
  return violations.map(({ field, reason }) => `${field === '' ? whole : field}: ${reason}.`).join(' ');
}

function isWithin(path: string, outer: ReadonlySet<string>): boolean {
  return [...outer].some((start) => path.startsWith(start));
}

function violationOf(error: SchemaError): Violation {
  const steps = error.instancePath.split('/').slice(1).map(unescaped);
  const missing = error.params['missingProperty'];
  if (error.keyword === 'required' && typeof missing === 'string') steps.push(missing);
  return { field: steps.map((step) => shortened(step)).join('.'), reason: reasonOf(error) };
}

/** Decodes the escapes in one step of a JSON pointer. */
function unescaped(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}

function reasonOf({ keyword, params, message, data }: SchemaError): string {
  const limit = String(params['limit']);
  const characters = nounFor(Number(limit), 'character');
  const entries = nounFor(Number(limit), 'entry', 'entries');
  switch (keyword) {
    case 'required':
      return 'is missing';
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return `there is no field “${shortened(String(params['additionalProperty'] ?? params['unevaluatedProperty']))}”`;
    case 'type':
      return `must be ${[params['type']].flat().map(nounOf).join(' or ')}`;
    case 'minLength':
      return limit === '1' ? 'must not be empty' : `must have at least ${limit} ${characters}`;
    case 'maxLength':
      return `must have at most ${limit} ${characters}`;
    case 'minItems':
      return `must have at least ${limit} ${entries}`;
    case 'maxItems':
    case 'maxProperties':
      return `must have at most ${limit} ${entries}`;
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return `${shown(data)} must be ${comparisons[keyword]} ${limit}`.trim();
    case 'enum':
      return `must be one of: ${[params['allowedValues']].flat().map(String).join(', ')}`;
    case 'const':
      return `must be “${String(params['allowedValue'])}”`;
    case 'format':
      return `${shown(data)} ${formats[String(params['format'])] ?? 'has the wrong form'}`.trim();
    case 'anyOf':
      return 'has none of the forms that it may have';
    default:
      return message ?? 'is invalid';
  }
}

const comparisons = {
  minimum: 'at least',
  maximum: 'at most',
  exclusiveMinimum: 'above',
  exclusiveMaximum: 'below',
} as const;

const formats: Readonly<Record<string, string>> = {
  'date-time': 'is no RFC 3339 time, such as 2026-01-31T12:00:00Z',
  email: 'is no e-mail address',
  uri: 'is no web address; it must begin with https:// or http://',
  'time-zone': 'is no IANA time zone, such as Europe/Zurich',
};

const nouns: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
};

function nounOf(type: unknown): string {
  return nouns[String(type)] ?? String(type);
}

function shown(data: unknown): string {
  if (typeof data === 'number') return String(data);
  return typeof data === 'string' ? `“${shortened(data)}”` : '';
}

const shownLengthMax = 100;

function shortened(text: string): string {
  return text.length > shownLengthMax ? `${text.slice(0, shownLengthMax)}…` : text;
}

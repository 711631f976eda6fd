import { Type } from 'typebox';
import type { Static } from 'typebox';
import { durationMs } from '../../../domain/time/duration.ts';
import { apiFormats, contentParts, isJsonPointer } from '../../../domain/usage/format.ts';
import type { ApiFormat, UsageFormat } from '../../../domain/usage/format.ts';
import { reserveDefaults } from '../../../domain/usage/usage-reading.ts';
import type { ReserveOptions, UsageReading } from '../../../domain/usage/usage-reading.ts';
import { closed, duration, measureNamePattern } from '../schema-parts.ts';
import type { FieldPath, Violations } from '../violations.ts';
import { unknownMeasure } from './quantities.ts';

const formats = [...apiFormats, 'json', 'header'] as const;
type FormatName = (typeof formats)[number];

const placeText =
  'a JSON pointer such as /usage/input_tokens (format json), or the name of a header field (format header)';
const place = Type.String({ maxLength: 256, description: placeText });
const pointer = (what: string) =>
  Type.String({
    maxLength: 256,
    description: `a JSON pointer to the model's name in the ${what}, e.g. /model`,
  });

/** The value of `usage` of a route. */
export const usageFile = Type.Object(
  {
    format: Type.Enum([...formats], { description: formats.join(', ').replace(/, (\w+)$/, ' or $1') }),
    on_exhausted: Type.Optional(
      Type.Enum(['finish', 'cut'] as const, {
        description:
          'finish (a call that has begun ends in its own time) or cut (a stream ends at the budget)',
      }),
    ),
    slice: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        description: 'the output tokens that "cut" reserves at a time: a whole number from 1',
      }),
    ),
    model: Type.Optional(pointer('request')),
    response_model: Type.Optional(pointer('response')),
    measures: Type.Optional(
      Type.Record(
        Type.String({ pattern: measureNamePattern }),
        Type.Union([place, Type.Array(place, { minItems: 1, maxItems: 8 })], {
          description: `${placeText}, or a list of pointers whose numbers are added`,
        }),
        {
          ...closed,
          minProperties: 1,
          maxProperties: 16,
          description:
            'a mapping of measures to their places in the response, e.g. { input_tokens: /usage/input }',
        },
      ),
    ),
  },
  { ...closed, description: '{ format, on_exhausted?, slice?, model?, response_model?, measures? }' },
);

const count = { minimum: 0, maximum: 1_000_000_000, description: 'a whole number, 0 or more' };

export interface ReserveFile {
  readonly bytes_per_token?: number;
  readonly expires?: string;
  readonly part_tokens?: Readonly<Partial<ReserveOptions['partTokens']>>;
  readonly [measure: string]: unknown;
}

/** The value of `reserve` of a route. Its keys besides the named ones are measures. */
export const reserveFile = Type.Unsafe<ReserveFile>(
  Type.Object(
    {
      bytes_per_token: Type.Optional(
        Type.Number({
          minimum: 0.1,
          maximum: 64,
          description: 'the bytes of a request that are estimated as one input token, 0.1 to 64, e.g. 3',
        }),
      ),
      part_tokens: Type.Optional(
        Type.Partial(
          Type.Object(Object.fromEntries(contentParts.map((part) => [part, Type.Integer(count)])), closed),
          { ...closed, description: `input tokens of each part: { ${contentParts.join('?, ')}? }` },
        ),
      ),
      expires: Type.Optional(duration('10m')),
    },
    {
      ...closed,
      patternProperties: {
        '^(?!(bytes_per_token|part_tokens|expires)$)[a-z][a-z0-9_]{0,47}$': { type: 'integer', ...count },
      },
      description:
        'what is reserved where a request does not say: { output_tokens?, bytes_per_token?, part_tokens?, expires? }',
    },
  ),
);

export interface UsageParts {
  readonly usage?: UsageFile;
  readonly reserve?: ReserveFile;
}

type UsageFile = Static<typeof usageFile>;

const withoutStreams: readonly FormatName[] = ['openai_embeddings', 'header'];
const sliceDefault = 500;
const expiresMsMin = 1_000;
const expiresMsMax = 86_400_000;

export function checkUsage(
  { usage, reserve }: UsageParts,
  knownMeasures: ReadonlySet<string>,
  at: FieldPath,
  violations: Violations,
): void {
  if (reserve !== undefined) {
    checkReserve(reserve, knownMeasures, [...at, 'reserve'], violations);
    if (usage === undefined)
      violations.add([...at, 'reserve'], 'is allowed with "usage" only; add usage: { format: … }', 'key');
  }
  if (usage === undefined) return;
  const { format, on_exhausted: onExhausted = 'finish', slice } = usage;
  const here = [...at, 'usage'];
  if (onExhausted === 'cut' && withoutStreams.includes(format)) {
    const streamed = formats.filter((name) => !withoutStreams.includes(name)).join(', ');
    violations.add(
      [...here, 'on_exhausted'],
      `cut ends streams, which ${format} does not have; write finish, or use one of: ${streamed}`,
    );
  }
  if (slice !== undefined && onExhausted !== 'cut')
    violations.add([...here, 'slice'], 'is allowed with on_exhausted: cut only', 'key');
  checkPlaces(usage, here, violations);
}

function checkPlaces(usage: UsageFile, at: FieldPath, violations: Violations): void {
  const { format, measures } = usage;
  const isApi = isApiFormat(format);
  for (const key of ['model', 'response_model', 'measures'] as const) {
    if (usage[key] === undefined) continue;
    if (isApi)
      violations.add([...at, key], `is defined by ${format}; remove it, or use json or header`, 'key');
    else if (key === 'response_model' && format === 'header')
      violations.add([...at, key], 'is allowed with format json only', 'key');
    else if (key !== 'measures' && !isJsonPointer(usage[key]))
      violations.add([...at, key], noPlace('json', usage[key]));
  }
  if (isApi) return;
  if (measures === undefined) {
    violations.add(
      at,
      `needs measures: their places in the response, e.g. { input_tokens: ${exampleOf(format)} }`,
    );
  }
  for (const [name, places] of Object.entries(measures ?? {})) {
    if (Array.isArray(places) && format === 'header')
      violations.add([...at, 'measures', name], 'is a list, but must be the name of one header field');
    const invalid = [places].flat().find((path) => !isPlace(format, path));
    if (invalid !== undefined) violations.add([...at, 'measures', name], noPlace(format, invalid));
  }
}

function checkReserve(
  file: ReserveFile,
  knownMeasures: ReadonlySet<string>,
  at: FieldPath,
  violations: Violations,
): void {
  for (const name of Object.keys(measuresOf(file))) {
    if (!knownMeasures.has(name)) violations.add([...at, name], unknownMeasure(name, knownMeasures), 'key');
  }
  if (file.expires === undefined) return;
  const expiresMs = durationMs(file.expires) ?? 0;
  if (expiresMs < expiresMsMin || expiresMs > expiresMsMax)
    violations.add([...at, 'expires'], `"${file.expires}" is out of range; reservations last from 1s to 1d`);
}

function isApiFormat(format: FormatName): format is ApiFormat {
  return format !== 'json' && format !== 'header';
}

function isPlace(format: FormatName, path: string): boolean {
  return format === 'json' ? isJsonPointer(path) : /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(path);
}

function noPlace(format: FormatName, path: string): string {
  const kind = format === 'json' ? 'JSON pointer' : 'name of a header field';
  return `"${path}" is not a ${kind}; write one like ${exampleOf(format)}`;
}

function exampleOf(format: FormatName): string {
  return format === 'json' ? '/usage/input_tokens' : 'x-input-tokens';
}

export function compileUsage({ usage }: UsageParts): UsageReading | null {
  if (usage === undefined) return null;
  const { on_exhausted: onExhausted = 'finish', slice = sliceDefault } = usage;
  return { format: compileFormat(usage), onExhausted, slice };
}

function compileFormat({ format, model, response_model, measures = {} }: UsageFile): UsageFormat {
  if (isApiFormat(format)) return { kind: format };
  const requestModel = model ?? null;
  const places = Object.entries(measures).map(([name, paths]) => [name, [paths].flat()] as const);
  if (format === 'json') {
    return {
      kind: format,
      measures: Object.fromEntries(places),
      requestModel,
      responseModel: response_model ?? null,
    };
  }
  const fields = places.map(([name, [field = '']]) => [name, field.toLowerCase()] as const);
  return { kind: format, measures: Object.fromEntries(fields), requestModel };
}

export function compileReserve({ reserve }: UsageParts): ReserveOptions {
  if (reserve === undefined) return reserveDefaults;
  const { bytes_per_token: bytesPerToken, part_tokens: partTokens, expires } = reserve;
  return {
    bytesPerToken: bytesPerToken ?? reserveDefaults.bytesPerToken,
    reserve: { ...reserveDefaults.reserve, ...measuresOf(reserve) },
    partTokens: { ...reserveDefaults.partTokens, ...partTokens },
    expiresMs: expires === undefined ? reserveDefaults.expiresMs : (durationMs(expires) ?? 0),
  };
}

function measuresOf(file: ReserveFile): Readonly<Record<string, number>> {
  const isMeasure = (field: [string, unknown]): field is [string, number] => !options.has(field[0]);
  return Object.fromEntries(Object.entries(file).filter(isMeasure));
}

/** The keys of `reserve` that are not measures. */
const options: ReadonlySet<string> = new Set(['bytes_per_token', 'part_tokens', 'expires']);

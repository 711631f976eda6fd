import { protocolError } from '../exceptions.ts';

/** A ClickHouse type, parsed from the header of a column in Native format. */
export interface NativeType {
  readonly name: string;
  /** Arguments of the type as texts, e.g. `['3', "'UTC'"]` of DateTime64. */
  readonly args: readonly string[];
}

/** Size in bytes of one value, for types whose values have a fixed size. */
const fixedBytes: Readonly<Record<string, number>> = {
  ...{ UInt8: 1, UInt16: 2, UInt32: 4, UInt64: 8, UInt128: 16, UInt256: 32 },
  ...{ Int8: 1, Int16: 2, Int32: 4, Int64: 8, Int128: 16, Int256: 32 },
  ...{ Float32: 4, Float64: 8, BFloat16: 2, Bool: 1, Nothing: 1, Enum8: 1, Enum16: 2 },
  ...{ Date: 2, Date32: 4, DateTime: 4, DateTime64: 8, Time: 4, Time64: 8 },
  ...{ UUID: 16, IPv4: 4, IPv6: 16, Decimal32: 4, Decimal64: 8, Decimal128: 16, Decimal256: 32 },
};

/** Types whose values are stored in the same way as those of another type. */
const aliases: Readonly<Record<string, string>> = {
  Point: 'Tuple(Float64, Float64)',
  Ring: 'Array(Point)',
  LineString: 'Array(Point)',
  MultiLineString: 'Array(LineString)',
  Polygon: 'Array(Ring)',
  MultiPolygon: 'Array(Polygon)',
};

/** Sizes of Decimal: a number of digits, and the bytes of a value with at most that number of digits. */
const decimalBytes = [
  [9, 4],
  [18, 8],
  [38, 16],
  [76, 32],
] as const;

export function nativeType(text: string): NativeType {
  const open = text.indexOf('(');
  const name = open < 0 ? text : text.slice(0, open);
  const alias = aliases[name];
  if (alias !== undefined) return nativeType(alias);
  const args = open < 0 ? [] : splitTopLevel(text.slice(open + 1, -1), ',').map((arg) => arg.trim());
  // `SimpleAggregateFunction(sum, UInt64)` contains plain values of its last argument.
  if (name === 'SimpleAggregateFunction') return nativeType(args.slice(1).join(', '));
  // `Nested(a String, b UInt8)` is stored as an array of tuples.
  if (name === 'Nested') return { name: 'Array', args: [`Tuple(${args.join(', ')})`] };
  if (name === 'Map') return { name: 'Array', args: [`Tuple(${args.join(', ')})`] };
  return { name, args };
}

/** Size in bytes of one value of the type. Null if the size varies or the type consists of other types. */
export function bytesOfValue({ name, args }: NativeType): number | null {
  if (name === 'FixedString') return Number(args[0]);
  if (name === 'Decimal') return decimalBytes.find(([digits]) => Number(args[0]) <= digits)?.[1] ?? null;
  if (name.startsWith('Interval')) return 8;
  return fixedBytes[name] ?? null;
}

/** Type of an element of a tuple. The element may have a name in front of the type: `a UInt8`. */
export function elementType(element: string): NativeType {
  return nativeType(splitTopLevel(element, ' ').at(-1) ?? '');
}

export function unsupported({ name }: NativeType): Error {
  return protocolError(
    48,
    'NOT_IMPLEMENTED',
    `The local server cannot send ${name} in Native format to clients with client_protocol_version: convert it to a String`,
  );
}

/** Splits the text at separators that are outside parentheses and quotes. */
function splitTopLevel(text: string, separator: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let quote = '';
  let start = 0;
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index);
    if (quote !== '') {
      if (character === '\\') index += 1;
      else if (character === quote) quote = '';
    } else if (character === "'" || character === '`') quote = character;
    else if (character === '(') depth += 1;
    else if (character === ')') depth -= 1;
    else if (character === separator && depth === 0) {
      parts.push(text.slice(start, index));
      start = index + 1;
    }
  }
  return [...parts, text.slice(start)];
}

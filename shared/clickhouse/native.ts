/**
 * A column of an insert in ClickHouse's Native format, which is written column by column. The server stores this format almost
 * unchanged; parsing JSON rows would cost the server more than all other work of an insert. See ClickHouse's documentation of
 * formats and of LowCardinality.
 */
export type NativeColumn<Row> = {
  readonly [Type in keyof NativeValues]: {
    readonly name: string;
    readonly type: Type;
    readonly of: (row: Row) => NativeValues[Type];
  };
}[keyof NativeValues];

/**
 * The JavaScript type of each column type. A number must be within the range of its type: the range is not checked, and a larger
 * number would wrap around.
 */
export interface NativeValues {
  Bool: boolean;
  UInt16: number;
  UInt32: number;
  Int32: number;
  Float32: number;
  Float64: number;
  /** A number up to 2⁵³, or a bigint. */
  UInt64: number | bigint;
  /** An integer multiple of 10⁻¹², as in `Money`. */
  'Decimal(38, 12)': bigint;
  /** Unix milliseconds. */
  "DateTime64(3, 'UTC')": number;
  /** Unix seconds. */
  "DateTime('UTC')": number;
  String: string;
  'LowCardinality(String)': string;
  'Array(LowCardinality(String))': readonly string[];
  'Map(LowCardinality(String), String)': Readonly<Record<string, string>>;
  'Map(String, UInt64)': Readonly<Record<string, number>>;
  'Map(String, Decimal(38, 12))': Readonly<Record<string, bigint>>;
}

/** Encodes all rows as one block of the Native format. */
export function encodeNative<Row>(columns: readonly NativeColumn<Row>[], rows: readonly Row[]): Buffer {
  const parts: Uint8Array[] = [varint(columns.length), varint(rows.length)];
  for (const column of columns) {
    parts.push(text(column.name), text(column.type), ...encodeColumn(column, rows));
  }
  return Buffer.concat(parts);
}

function encodeColumn<Row>(column: NativeColumn<Row>, rows: readonly Row[]): Uint8Array[] {
  switch (column.type) {
    case 'Bool':
      return [filled(new Uint8Array(rows.length), rows, (row) => (column.of(row) ? 1 : 0))];
    case 'UInt16':
      return [bytesOf(filled(new Uint16Array(rows.length), rows, column.of))];
    case 'UInt32':
    case "DateTime('UTC')":
      return [bytesOf(filled(new Uint32Array(rows.length), rows, column.of))];
    case 'Int32':
      return [bytesOf(filled(new Int32Array(rows.length), rows, column.of))];
    case 'Float32':
      return [bytesOf(filled(new Float32Array(rows.length), rows, column.of))];
    case 'Float64':
      return [bytesOf(filled(new Float64Array(rows.length), rows, column.of))];
    case 'UInt64':
    case "DateTime64(3, 'UTC')":
      return [words(rows, column.of)];
    case 'Decimal(38, 12)':
      return [wideWords(rows, column.of)];
    case 'String':
      return [strings(rows.map(column.of))];
    case 'LowCardinality(String)':
      return [dictionaryVersion, ...dictionary(rows.map(column.of))];
    case 'Array(LowCardinality(String))': {
      const lists = rows.map(column.of);
      return [dictionaryVersion, ends(lists), ...dictionary(lists.flat())];
    }
    case 'Map(LowCardinality(String), String)':
      return [dictionaryVersion, ...map(rows, column.of, dictionary, strings)];
    case 'Map(String, UInt64)':
      return map(rows, column.of, plainKeys, (values) => words(values, (value) => value));
    case 'Map(String, Decimal(38, 12))':
      return map(rows, column.of, plainKeys, (values) => wideWords(values, (value) => value));
  }
}

/** A loop: `from` of a typed array uses an iterator, which takes several times as long. */
function filled<Row, Values extends Exclude<NodeJS.TypedArray, BigInt64Array | BigUint64Array>>(
  values: Values,
  rows: readonly Row[],
  of: (row: Row) => number,
): Values {
  let at = 0;
  for (const row of rows) {
    values[at] = of(row);
    at += 1;
  }
  return values;
}

function map<Row, Value>(
  rows: readonly Row[],
  of: (row: Row) => Readonly<Record<string, Value>>,
  encodeKeys: (keys: readonly string[]) => Uint8Array[],
  encodeValues: (values: readonly Value[]) => Uint8Array,
): Uint8Array[] {
  const entries = rows.map((row) => Object.entries(of(row)));
  const flat = entries.flat();
  const keys = encodeKeys(flat.map(([key]) => key));
  return [ends(entries), ...keys, encodeValues(flat.map(([, value]) => value))];
}

/** Keys of maps without a dictionary: ClickHouse writes an empty column of them faster. */
function plainKeys(keys: readonly string[]): Uint8Array[] {
  return [strings(keys)];
}

/**
 * Encodes 64 bits per value. Most values are numbers, which are split arithmetically because converting them to bigints is
 * slower.
 */
function words<Row>(rows: readonly Row[], of: (row: Row) => number | bigint): Uint8Array {
  const halves = new Uint32Array(rows.length * 2);
  const words64 = new BigUint64Array(halves.buffer);
  let at = 0;
  for (const row of rows) {
    const value = of(row);
    if (typeof value === 'bigint') {
      words64[at] = value;
    } else {
      halves[at * 2] = value % 2 ** 32;
      halves[at * 2 + 1] = Math.floor(value / 2 ** 32);
    }
    at += 1;
  }
  return bytesOf(halves);
}

/** Encodes 128 bits per value, in two's complement. */
function wideWords<Row>(rows: readonly Row[], of: (row: Row) => bigint): Uint8Array {
  const halves = new BigInt64Array(rows.length * 2);
  let at = 0;
  for (const row of rows) {
    const value = of(row);
    // Zeros are not written, because new memory already contains zeros. This saves time: most costs are 0.
    if (value !== 0n) {
      halves[at] = BigInt.asIntN(64, value);
      halves[at + 1] = value >> 64n;
    }
    at += 2;
  }
  return bytesOf(halves);
}

function strings(values: readonly string[]): Uint8Array {
  // Fast path: a rarely used column has only empty strings, and an empty string is one zero byte.
  if (values.every((value) => value === '')) return new Uint8Array(values.length);
  return Buffer.concat(values.map(text));
}

/** Encodes where the elements of each row end, as an index into the list of the elements of all rows. */
function ends(lists: readonly (readonly unknown[])[]): Uint8Array {
  let end = 0;
  return words(lists, (list) => (end += list.length));
}

/** State prefix of a LowCardinality column: version 1, in which each block contains its own dictionary. */
const dictionaryVersion = bytesOf(Uint32Array.of(1, 0));
const keysHere = 0x600;

/**
 * Encodes a LowCardinality column: the distinct values, then for each row the index of its value. Returns nothing if there is no
 * row.
 */
function dictionary(values: readonly string[]): Uint8Array[] {
  if (values.length === 0) return [];
  const indexes = new Map<string, number>();
  const rows = new Uint32Array(values.length);
  let at = 0;
  // Most rows have the value of the row before, and then need no lookup.
  let [last, index]: [string | null, number] = [null, 0];
  for (const value of values) {
    if (value !== last) {
      last = value;
      index = indexes.get(value) ?? indexes.size;
      if (index === indexes.size) indexes.set(value, index);
    }
    rows[at] = index;
    at += 1;
  }
  const keys = [...indexes.keys()];
  const [width, narrowed] =
    keys.length <= 256
      ? [0, new Uint8Array(rows)]
      : keys.length <= 65_536
        ? [1, new Uint16Array(rows)]
        : [2, rows];
  return [
    bytesOf(Uint32Array.of(keysHere | width, 0, keys.length, 0)),
    Buffer.concat(keys.map(text)),
    bytesOf(Uint32Array.of(rows.length, 0)),
    bytesOf(narrowed),
  ];
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([varint(bytes.length), bytes]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let remaining = value;
  for (; remaining > 127; remaining = Math.floor(remaining / 128)) bytes.push((remaining % 128) | 128);
  bytes.push(remaining);
  return Uint8Array.from(bytes);
}

/**
 * Returns the bytes of a typed array. They are little-endian, as the format requires, on every machine that Node supports except
 * mainframes.
 */
function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}

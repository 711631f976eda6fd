import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PointerMatcher, PointerNode, pathOf } from '../../../services/gateway/usage/json/pointers.ts';
import { JsonTokenizer } from '../../../services/gateway/usage/json/tokenizer.ts';
import type { JsonSink } from '../../../services/gateway/usage/json/tokenizer.ts';
import { chunked, splits } from './chunks.ts';

/** Builds the value that the tokens describe, as `JSON.parse` does. */
class ValueBuilder implements JsonSink {
  value: unknown;
  textBytes = 0;
  readonly #open: { readonly container: Record<string, unknown> | unknown[]; name: string }[] = [];

  open(isArray: boolean): void {
    this.#open.push({ container: isArray ? [] : {}, name: '' });
  }

  close(): void {
    this.#add(this.#open.pop()?.container);
  }

  name(text: string | null): void {
    this.#open.at(-1)!.name = text!;
  }

  string(text: string | null, textBytes: number): void {
    this.textBytes += textBytes;
    this.#add(text);
  }

  scalar(text: string | null): void {
    this.#add(JSON.parse(text!));
  }

  #add(value: unknown): void {
    const parent = this.#open.at(-1);
    if (parent === undefined) this.value = value;
    else if (Array.isArray(parent.container)) parent.container.push(value);
    else
      Object.defineProperty(parent.container, parent.name, { value, enumerable: true, configurable: true });
  }
}

function readAll(chunks: readonly Buffer[]): { builder: ValueBuilder; tokenizer: JsonTokenizer } {
  const builder = new ValueBuilder();
  const tokenizer = new JsonTokenizer(builder);
  tokenizer.nameBytesMax = 1_000_000;
  tokenizer.valueBytesMax = 1_000_000;
  let offset = 0;
  for (const chunk of chunks) {
    tokenizer.push(chunk, 0, chunk.length, offset);
    offset += chunk.length;
  }
  tokenizer.end(offset);
  return { builder, tokenizer };
}

function stringBytes(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce<number>((sum, inner) => sum + stringBytes(inner), 0);
}

describe('JSON tokenizer', () => {
  test('reads what JSON.parse reads, for any text and any chunks', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 6, stringUnit: 'grapheme' }),
        fc.constantFrom(0, 1, '\t'),
        fc.boolean(),
        splits,
        (value, indent, escaped, cuts) => {
          const plain = JSON.stringify(value, null, indent);
          const text = escaped
            ? plain.replaceAll(
                /[\u0080-\uffff]/g,
                (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
              )
            : plain;
          const { builder, tokenizer } = readAll(chunked(Buffer.from(text), cuts));
          expect(tokenizer.isComplete).toBe(true);
          expect(builder.value).toEqual(JSON.parse(text));
          expect(builder.textBytes).toBe(stringBytes(JSON.parse(text)));
        },
      ),
    );
  });

  test('accepts a text if and only if JSON.parse accepts it', () => {
    const alphabet = fc.constantFrom(
      ...Array.from('{}[]",:\\ \n\tu0eE+-.19tfn'),
      'true',
      'null',
      '"a"',
      '\\u00e9',
      '\u0001',
    );
    fc.assert(
      fc.property(fc.array(alphabet, { maxLength: 12 }), splits, (tokens, cuts) => {
        const text = tokens.join('');
        expect(readAll(chunked(Buffer.from(text), cuts)).tokenizer.isComplete).toBe(isJson(text));
      }),
      { numRuns: 3_000 },
    );
  });

  test.each([
    '',
    ' ',
    '{',
    '[1,]',
    '{"a":1,}',
    '{"a"}',
    '01',
    '1.',
    '.5',
    '+1',
    'NaN',
    'tru',
    '"\n"',
    '"\\x"',
    '"\\u12g4"',
    '1 2',
    '{}{}',
    '\ufeff{}',
  ])('refuses %j', (text) => {
    expect(isJson(text)).toBe(false);
    expect(readAll([Buffer.from(text)]).tokenizer.isComplete).toBe(false);
  });

  test('refuses nesting deeper than 512 levels', () => {
    expect(readAll([Buffer.from('['.repeat(512) + ']'.repeat(512))]).tokenizer.isComplete).toBe(true);
    expect(readAll([Buffer.from('['.repeat(513) + ']'.repeat(513))]).tokenizer.isComplete).toBe(false);
  });

  test('reports the bytes of a string of which only a part has arrived', () => {
    const tokenizer = new JsonTokenizer(new ValueBuilder());
    const part = Buffer.from('"abc\\u00e9\\n');
    tokenizer.push(part, 0, part.length, 0);
    expect(tokenizer.partialTextBytes).toBe(6);
  });
});

describe('JSON pointers', () => {
  test('select the value that RFC 6901 defines, in any text and any chunks', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), splits, fc.nat(), (value, cuts, pick) => {
        const pointers = pointersOf(value);
        const pointer = pointers[pick % pointers.length]!;
        expect(select(pointer, JSON.stringify(value), cuts)).toEqual([textAt(value, pointer)]);
      }),
    );
  });

  test('select the last value too if a name is repeated', () => {
    expect(select('/a', '{"a":1,"b":{"a":5},"a":2}', [])).toEqual(['1', '2']);
  });

  test('never select a text that contains the name', () => {
    expect(
      select('/usage/x', '{"text":"{\\"usage\\":{\\"x\\":9}}","y":{"usage":{"x":8}},"usage":{"x":7}}', []),
    ).toEqual(['7']);
  });
});

function select(pointer: string, text: string, cuts: readonly number[]): (string | null)[] {
  const found: (string | null)[] = [];
  // A star is a name in these pointers.
  const path = pathOf(pointer).map((step, index) =>
    typeof step === 'string' ? step : pointer.split('/')[index + 1]!,
  );
  const root = PointerNode.of([{ path, name: 'x', kind: 'value', bytesMax: 10_000 }]);
  const matcher = new PointerMatcher(root, {
    value: (_name, value) => void found.push(value),
    text: () => undefined,
    open: (_name, isArray) => void found.push(isArray ? '[' : '{'),
    close: () => undefined,
  });
  const tokenizer = new JsonTokenizer(matcher);
  matcher.begin(tokenizer);
  for (const chunk of chunked(Buffer.from(text), cuts)) tokenizer.push(chunk, 0, chunk.length, 0);
  tokenizer.end(0);
  return found;
}

function pointersOf(value: unknown, prefix = ''): string[] {
  const found = [prefix];
  if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value)) {
      const token = name.replaceAll('~', '~0').replaceAll('/', '~1');
      found.push(...pointersOf(inner, `${prefix}/${token}`));
    }
  }
  return found;
}

function textAt(value: unknown, pointer: string): string {
  let at = value;
  for (const token of pointer.split('/').slice(1)) {
    at = (at as Record<string, unknown>)[token.replaceAll('~1', '/').replaceAll('~0', '~')];
  }
  if (typeof at === 'object' && at !== null) return Array.isArray(at) ? '[' : '{';
  return typeof at === 'string' ? at : JSON.stringify(at);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test.each([
  ['12', ['12']],
  ['{"a":1,"b":12', ['1']],
  ['[12', []],
])(
  'the digits at the end of %s are a number only at the top level: other digits may be missing',
  (text, read) => {
    const scalars: (string | null)[] = [];
    const ignore = (): void => undefined;
    const tokenizer = new JsonTokenizer({
      ...{ open: ignore, close: ignore, name: ignore, string: ignore },
      scalar: (digits) => void scalars.push(digits),
    });
    tokenizer.valueBytesMax = 100;
    tokenizer.push(Buffer.from(text), 0, text.length, 0);
    tokenizer.end(text.length);
    expect(scalars).toEqual(read);
    expect(tokenizer.isComplete).toBe(text === '12');
  },
);

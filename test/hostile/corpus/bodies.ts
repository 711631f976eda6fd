/** A body that no route accepts, and the statuses that are right for it. */
export interface HostileBody {
  readonly name: string;
  readonly bytes: Buffer;
  readonly type: string;
  readonly right: readonly number[];
}

const json = 'application/json';
const manyFields = `{${Array.from({ length: 20_000 }, (_, index) => `"f${index}":1`).join(',')}}`;
/** Statuses: `malformed` for a body that is not JSON, `unfit` for JSON that no schema accepts. */
const malformed = [400];
const unfit = [400, 422];

const text = (name: string, body: string, right: readonly number[], type = json): HostileBody => ({
  name,
  bytes: Buffer.from(body),
  type,
  right,
});

export const hostileBodies: readonly HostileBody[] = [
  text('no text', '', malformed),
  text('white space', ' \n\t', malformed),
  text('half an object', '{"a":', malformed),
  text('two values', '{}{}', malformed),
  text('a comment', '{/**/}', malformed),
  text('a trailing comma', '{"a":1,}', malformed),
  text('NaN', '{"a":NaN}', malformed),
  text('a number with a leading zero', '{"a":01}', malformed),
  text('a text with a line break', '{"a":"\n"}', malformed),
  text('a prototype', '{"__proto__":{"a":1}}', malformed),
  text('a constructor’s prototype', '{"constructor":{"prototype":{"a":1}}}', malformed),
  text('a number', '5', unfit),
  text('a text', '"x"', unfit),
  text('true', 'true', unfit),
  text('a list', '[]', unfit),
  text('a list of lists', '[[],[[]]]', unfit),
  text('fields that nobody knows, many', manyFields, unfit),
  text('a number beyond doubles', '{"cost":1e999,"zz":1}', unfit),
  text('half a surrogate pair', '{"\\ud800":"\\udfff"}', unfit),
  text('NUL', '{"\\u0000":"\\u0000"}', unfit),
  text('a name twice', '{"zz":1,"zz":2}', unfit),
  text('33 levels', `${'['.repeat(33)}${']'.repeat(33)}`, malformed),
  text('too many bytes', `{"zz":"${'x'.repeat(1_100_000)}"}`, [413]),
  text('a form', 'a=1&b=2', [415], 'application/x-www-form-urlencoded'),
  text('XML', '<a/>', [415], 'application/xml'),
  text('a type that is none', '{}', [415], 'json'),
  {
    name: 'bytes that are no UTF-8',
    bytes: Buffer.from([0x22, 0xff, 0xfe, 0x22]),
    type: json,
    right: malformed,
  },
  {
    name: 'UTF-16',
    bytes: Buffer.from('\ufeff{"a":1}', 'utf16le'),
    type: 'application/json; charset=utf-16',
    right: [400, 415],
  },
];

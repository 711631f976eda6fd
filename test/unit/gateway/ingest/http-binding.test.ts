// Goal: conformance with the HTTP protocol binding of CloudEvents 1.0.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { eventsOf, plainEventsOf } from '../../../../services/gateway/ingest/http-binding.ts';
import type { Member, RequestEvents } from '../../../../services/gateway/ingest/http-binding.ts';
import { jsonMembers } from '../../../../services/gateway/ingest/json-members.ts';

type Header = readonly [string, string];
const required: readonly Header[] = [
  ['ce-specversion', '1.0'],
  ['ce-id', 'e1'],
  ['ce-source', '/app'],
  ['CE-Type', 'tokens'],
];

function read(fields: readonly Header[], body: string | Buffer = ''): RequestEvents {
  const headers = Object.fromEntries(fields.map(([name, value]) => [name.toLowerCase(), value]));
  return eventsOf({ headers, rawHeaders: fields.flat(), body: Buffer.from(body) });
}

function onlyMember(events: RequestEvents): Member {
  if ('status' in events) throw new Error(events.detail);
  expect(events.members).toHaveLength(1);
  return events.members[0]!;
}

test('an event with a repeated member name is rejected by that name, and the other events of its batch are read', () => {
  const event = '{"specversion":"1.0","id":"e1","source":"/app","type":"tokens"}';
  const twice = '{"specversion":"1.0","id":"e1","source":"/app","type":"tokens","id":"e2"}';
  const inside = '{"specversion":"1.0","id":"e1","source":"/app","type":"t","data":{"units":1,"units":9}}';
  const type: Header = ['content-type', 'application/cloudevents-batch+json'];
  expect(read([type], `[${event},${twice},${inside}]`)).toMatchObject({
    members: [
      { event: { id: 'e1' } },
      { violation: 'the event has the member "id" twice' },
      { violation: 'the event has the member "units" twice' },
    ],
  });
  expect(onlyMember(read(required, '{"units":1,"units":9}'))).toEqual({
    violation: 'the data has the member "units" twice',
  });
});

describe('binary', () => {
  test.each([
    ['no Content-Type', []],
    ['application/json', [['content-type', 'application/json; charset=UTF-8'] as const]],
    ['a +json type', [['content-type', 'application/vnd.acme.usage+json'] as const]],
    ['text/json', [['content-type', 'text/json'] as const]],
  ])('data is read with %s', (_what, type) => {
    expect(onlyMember(read([...required, ...type], '{"units":3}'))).toEqual({
      event: { specversion: '1.0', id: 'e1', source: '/app', type: 'tokens', data: { units: 3 } },
    });
  });

  test('without a body there is no data, and every ce- header is an attribute', () => {
    const extended = [...required, ['ce-traceparent', '00-ab'] as const, ['ce-sampled', 'true'] as const];
    expect(onlyMember(read(extended))).toEqual({
      event: {
        specversion: '1.0',
        id: 'e1',
        source: '/app',
        type: 'tokens',
        traceparent: '00-ab',
        sampled: 'true',
      },
    });
  });

  test.each([
    ['percent-encoded', 'a%20b%2Fgr%C3%B6%C3%9Fer', 'a b/größer'],
    ['in quotes', '"order 7"', 'order 7'],
    ['in quotes, with escapes', '"a \\"b\\" \\\\ c"', 'a "b" \\ c'],
    ['in quotes and percent-encoded', '"100%25"', '100%'],
    ['decoded once only', 'a%2520b', 'a%20b'],
    ['with a percent sign of its own', '100% of 5%z', '100% of 5%z'],
    ['with one quote', 'a"b', 'a"b'],
    ['in UTF-8 without encoding', Buffer.from('größer').toString('latin1'), 'größer'],
  ])('a value %s', (_what, value, expected) => {
    expect(onlyMember(read([...required.slice(0, 1), ['ce-id', value]]))).toMatchObject({
      event: { id: expected },
    });
  });

  test.each([
    ['an overlong encoding', 'a%C0%A0'],
    ['an unpaired surrogate', '%ED%A0%80'],
    ['Latin-1', 'gr\u00f6\u00dfer'],
  ])('%s is rejected, because it is not UTF-8', (_what, value) => {
    expect(onlyMember(read([...required.slice(0, 1), ['ce-id', value]]))).toEqual({
      violation: 'ce-id is not UTF-8',
    });
  });

  test('an event with a repeated attribute is rejected', () => {
    expect(onlyMember(read([...required, ['Ce-Id', 'e2']]))).toEqual({ violation: 'ce-id occurs twice' });
  });

  test.each([
    ['text', 'text/plain', 'hello', 415],
    ['JSON in another charset', 'application/json; charset=iso-8859-1', '{}', 415],
    ['another event format', 'application/cloudevents+avro', '{}', 415],
  ])('%s is refused', (_what, type, body, status) => {
    expect(read([...required, ['content-type', type]], body)).toMatchObject({ status });
  });

  test('bytes that are not UTF-8 are rejected, not replaced', () => {
    const body = Buffer.concat([Buffer.from('{"user_id":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]);
    expect(onlyMember(read(required, body))).toEqual({ violation: 'the data is not UTF-8' });
  });
});

describe('a batch', () => {
  const batch = (body: string | Buffer) =>
    read([['content-type', 'application/cloudevents-batch+json']], body);
  const membersOf = (body: string | Buffer): readonly Member[] => {
    const events = batch(body);
    if ('status' in events) throw new Error(events.detail);
    return events.members;
  };

  test('an unreadable member does not affect the others', () => {
    const bad = Buffer.from(
      '[{"id":"1"}, {"id":NaN}, 5, nope, {"id":"\\ud800"}, {"a":"].,[\\"{"}, {"x":"?"} ]',
    );
    bad[bad.lastIndexOf('?')] = 0xff;
    expect(membersOf(bad)).toEqual([
      { event: { id: '1' } },
      { violation: 'the event is not JSON' },
      { violation: 'the event is not a JSON object' },
      { violation: 'the event is not JSON' },
      { event: { id: '\ud800' } },
      { event: { a: '].,["{' } },
      { violation: 'the event is not UTF-8' },
    ]);
  });

  test('only the event whose nesting would overflow the stack is rejected', () => {
    expect(membersOf(`[{"id":"1"},{"data":${'['.repeat(20_000)}${']'.repeat(20_000)}}]`)).toEqual([
      { event: { id: '1' } },
      { violation: 'the event is nested deeper than 32 levels' },
    ]);
  });

  test.each(['', '{}', '[', '[{"a":1}', '[1]]', '[1] x', '["', '[}', '[{]'])('%j is not an array', (body) => {
    expect(batch(body)).toEqual({ status: 400, detail: 'A batch must be a JSON array of events.' });
  });

  test('an empty batch and one with too many events are refused', () => {
    expect(batch(' [ ] ')).toMatchObject({ status: 400, detail: 'The batch is empty.' });
    expect(batch(`[${'{},'.repeat(1_000)}{}]`)).toMatchObject({ status: 413 });
    expect(batch(`[${','.repeat(500_000)}]`)).toMatchObject({ status: 413 });
  });
});

test('plain JSON is a batch when it is an array', () => {
  expect(plainEventsOf(Buffer.from('\n [{"id":"1"}, {"id":"2"}]'))).toMatchObject({ members: [{}, {}] });
  expect(onlyMember(plainEventsOf(Buffer.from('{"id":"1"}')))).toEqual({ event: { id: '1' } });
});

test('plain JSON is a batch after any amount of whitespace', () => {
  for (const blanks of [64, 65, 1_000, 900_000]) {
    const before = ' \t\r\n'.repeat(Math.ceil(blanks / 4)).slice(0, blanks);
    expect(plainEventsOf(Buffer.from(`${before}[{"id":"1"}, {"id":"2"}]`))).toMatchObject({
      members: [{}, {}],
    });
    expect(onlyMember(plainEventsOf(Buffer.from(`${before}{"id":"1"}`)))).toEqual({ event: { id: '1' } });
  }
});

test('a JSON array is split into the same members that JSON.parse reads', () => {
  fc.assert(
    fc.property(
      fc.array(fc.jsonValue({ stringUnit: 'binary', maxDepth: 2 }), { maxLength: 5 }),
      fc.constantFrom(0, 1, 3),
      (values, indent) => {
        const cut = jsonMembers(Buffer.from(JSON.stringify(values, null, indent)), 10_000);
        expect(cut?.texts.map((text) => JSON.parse(text.toString()) as unknown)).toEqual(
          JSON.parse(JSON.stringify(values)),
        );
        expect(cut?.count).toBe(values.length);
      },
    ),
    { numRuns: 200, seed: Number(process.env['SEED'] ?? 1) },
  );
});

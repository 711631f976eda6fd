import fc from 'fast-check';

const dayMs = 86_400_000;

/** Texts that are valid, at a bound, beyond a bound, or not well-formed Unicode. */
const texts = fc.oneof(
  fc.constantFrom(
    'acme',
    'tokens',
    'größer',
    '%41',
    '"a"',
    '\u0000',
    'a\nb',
    '',
    ' ',
    '__proto__',
    'toString',
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(128, 129, 256, 257, 512, 513, 4_096, 4_097, 5_000).map((length) => 'x'.repeat(length)),
  fc.constantFrom('\ud800', 'a\udc00', '\ud83d\ude00'),
  fc
    .constantFrom('é', '\u0001', '漢')
    .chain((character) => fc.nat(4_096).map((count) => character.repeat(count))),
);

const numbers = fc.oneof(
  fc.constantFrom(0, -0, 1, 5, -1, 0.1, 1e9, 1e9 + 1, 1e12, 1e12 + 1, 2 ** 53, 2 ** 64, 1e300, 1.7e308),
  fc.constantFrom(NaN, Infinity),
  fc.double(),
);

const nested = fc.oneof(
  fc.constantFrom(5, 29, 30, 31, 32, 60, 1_000).map((depth) => {
    let value: unknown = 1;
    for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
    return value;
  }),
  fc.jsonValue({ maxDepth: 4 }),
);

const values = fc.oneof(texts, numbers, nested, fc.boolean(), fc.constant(null), fc.constant(undefined));

const times = (nowMs: number): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constant(undefined) },
    {
      weight: 4,
      arbitrary: fc
        .oneof(fc.integer({ min: -420 * dayMs, max: dayMs }), fc.integer({ min: -dayMs, max: 3_600_000 }))
        .map((offset) => new Date(nowMs + offset).toISOString()),
    },
    fc.constantFrom(
      '2026-02-30T00:00:00Z',
      '2026-11-21t10:00:00.123456789z',
      '2026-11-21T24:00:00Z',
      '2026-11-21T10:00:60Z',
      '2026-11-21T12:00:00+14:00',
      '2026-11-21 10:00:00Z',
      '+012026-11-21T10:00:00Z',
    ),
    values,
  );

/** Generates one of the valid values in most cases, otherwise any value. */
function mostly(...good: readonly unknown[]): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...good) }, values);
}

/** Valid `data` in most cases, with properties of any number and value. */
const data = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record(
      {
        units: mostly(0, 1, 0.5, 1e12),
        cost: mostly(0, 0.000075, 1e9),
        user_id: mostly('u1', null),
        plan: mostly('free', ''),
        route: mostly('POST /chat', 'r'.repeat(512)),
        event_id: mostly('e1'),
        properties: mostly({}, { a: 1, b: 'c', d: true }),
        note: mostly('x'.repeat(4_096), { deep: [1, { a: null }] }, '\u0001'),
        tokens: mostly(12, -1, 2 ** 64),
        ce_trace: mostly(null),
        model: mostly('small', null),
        quantities: mostly(null, {}, { usd: '1.5' }),
        measures: mostly(null, { output_tokens: 3 }),
        reservation: mostly(null, { state: 'settled' }, { state: 'open', reserved: { usd: 1 } }),
      },
      { requiredKeys: [] },
    ),
  },
  fc.dictionary(fc.oneof(fc.string({ maxLength: 10 }), texts), values, { maxKeys: 3 }),
  fc
    .constantFrom(1, 64, 65)
    .map((count) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, i]))),
  values,
);

/** Valid to hostile events, as objects that can be written as JSON. */
export function hostileEvents(nowMs: number): fc.Arbitrary<Record<string, unknown>> {
  const core = fc.record(
    {
      specversion: mostly('1.0'),
      id: mostly('e1', 'größer', 'x'.repeat(256), '"quoted"'),
      source: mostly('/app', 'urn:app'),
      type: mostly('tokens.used', 't'.repeat(128), 'tollgate.amend.v1', 'tollgate.void.v1'),
      subject: mostly('acme', 'anonymous', undefined),
      time: times(nowMs),
      datacontenttype: mostly('application/json', 'application/vnd.a+json', undefined),
      data,
    },
    { requiredKeys: ['specversion', 'id', 'source', 'type', 'subject'] },
  );
  const extended = fc.oneof(
    { weight: 6, arbitrary: fc.constant({}) },
    fc.record(
      { traceparent: mostly('00-ab', true, 7), dataschema: mostly('urn:s'), trace: mostly('t') },
      { requiredKeys: [] },
    ),
    fc.record({ spool: values, spoolsequence: values }, { requiredKeys: [] }),
    fc.dictionary(fc.oneof(fc.string({ maxLength: 8 }), texts), values, { maxKeys: 4 }),
    fc
      .constantFrom(32, 33)
      .map((count) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x${i}`, i]))),
    fc.record({ data: fc.constant(undefined), data_base64: data.map(base64) }),
  );
  return fc.tuple(core, extended).map(([event, extra]) => ({ ...event, ...extra }));
}

function base64(value: unknown): string {
  return Buffer.from(JSON.stringify({ value }).slice(9, -1)).toString('base64');
}

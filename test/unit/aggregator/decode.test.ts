// Goal: a valid record is read exactly, an invalid one becomes a dead letter with a reason, and decoding never throws.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode, decodeBoundsDefault } from '../../../services/aggregator/events/decode.ts';
import type { Decoded } from '../../../services/aggregator/events/decode.ts';
import { meterEvent, requestEvent } from '../../integration/aggregator/events.ts';

const nowMs = Date.UTC(2026, 10, 21, 12);

function read(value: unknown): Decoded {
  const bytes = Buffer.isBuffer(value)
    ? value
    : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
  const place = { partition: 3, offset: 9, headers: {}, timestampMs: nowMs };
  return decode({ ...place, value: bytes }, nowMs, decodeBoundsDefault);
}

function reasonOf(value: unknown): string {
  const decoded = read(value);
  return decoded.kind === 'dead' ? decoded.reason : `not dead: ${decoded.kind}`;
}

describe('decode', () => {
  test('a request keeps its id, whose time may differ from its own', () => {
    const event = requestEvent('acme', { timeMs: nowMs, id: '01a1fdea-f46a-7089-a479-43cf039d39b9' });
    const decoded = read(event);
    expect(decoded).toMatchObject({
      kind: 'request',
      event: {
        timeMs: nowMs,
        idSkewMs: 0x01a1fdeaf46a - nowMs,
        idA: 0x089,
        idB: (0xa47943cf039d39b9n & 0x3fffffffffffffffn).toString(),
        externalId: '',
        source: '',
        tenantId: 'acme',
        partition: 3,
        offset: 9,
      },
    });
  });

  test('the weight of a sampled event is one of its properties', () => {
    const weighed = (data: object) => read(requestEvent('anonymous', { timeMs: nowMs, data }));
    expect(weighed({ sample_weight: 100 })).toMatchObject({
      event: { properties: { sample_weight: '100' } },
    });
    expect(weighed({})).toMatchObject({ event: { properties: {} } });
    expect(weighed({ sample_weight: 'many' })).toMatchObject({ kind: 'dead' });
  });

  test('only events of a gateway have a sample weight', () => {
    const request = requestEvent('acme', { timeMs: nowMs, data: { sample_weight: 100 } });
    const meter = meterEvent('acme', { timeMs: nowMs, data: { sample_weight: 1_000_000 } });
    const amend = {
      ...meterEvent('acme', { timeMs: nowMs, type: 'tollgate.amend.v1' }),
      data: { event_id: 'e1', properties: { sample_weight: 5 } },
    };
    for (const event of [{ ...request, source: 'external' }, meter, amend]) {
      expect(read(event)).toMatchObject({
        kind: 'dead',
        reason: expect.stringContaining('sample_weight') as unknown,
      });
    }
  });

  test('an id that is no UUIDv7 is stored unchanged', () => {
    expect(read(requestEvent('acme', { timeMs: nowMs, id: 'Request 1' }))).toMatchObject({
      kind: 'request',
      event: { externalId: 'Request 1', idSkewMs: 0 },
    });
  });

  test('events are distinct when their tenant, source or id differs', () => {
    const base = { ...meterEvent('acme', { id: 'x', timeMs: nowMs }) };
    const keys = [base, { ...base, subject: 'other' }, { ...base, source: 'b' }, { ...base, id: 'y' }].map(
      (event) => {
        const decoded = read(event);
        return decoded.kind === 'external' ? decoded.key : '';
      },
    );
    expect(new Set([...keys, '']).size).toBe(5);
    expect(read({ ...base, data: { units: 7 } })).toMatchObject({ key: keys[0] });
  });

  test('fields of a meter event without a column become texts, and absent units and cost are 0', () => {
    const data = { tokens: 12, model: 'small', cached: true, tags: ['a'], none: null, user_id: 'u1' };
    expect(read(meterEvent('acme', { timeMs: nowMs, data }))).toMatchObject({
      event: {
        units: 0,
        cost: 0n,
        userId: 'u1',
        properties: { tokens: '12', model: 'small', cached: 'true', tags: '["a"]' },
      },
    });
  });

  test.each([
    ['not JSON', '{', 'the event is not JSON'],
    ['not UTF-8', Buffer.from([0xff, 0xfe]), 'the event is not UTF-8'],
    ['a list', '[]', 'the event is not a JSON object'],
    ['nothing', 'null', 'the event is not a JSON object'],
    ['another version', { ...requestEvent('a'), specversion: '1.1' }, 'specversion must be "1.0"'],
    ['no tenant', { ...requestEvent('a'), subject: undefined }, 'subject is missing'],
    ['half a character', { ...requestEvent('a'), subject: '\ud800' }, 'subject is not well-formed Unicode'],
    ['a long id', { ...requestEvent('a'), id: 'x'.repeat(257) }, 'id is longer than 256 characters'],
    [
      'a time in words',
      { ...requestEvent('a'), time: 'noon' },
      'time must be an RFC 3339 time, e.g. 2026-11-01T00:00:00Z',
    ],
    [
      'an infinite number',
      JSON.stringify(requestEvent('a', { timeMs: nowMs })).replace('"units":1', '"units":1e999'),
      'data.units must be a number from 0 to 1000000000000',
    ],
    [
      'an unknown decision',
      requestEvent('a', { timeMs: nowMs, data: { decision: 'maybe' as never } }),
      'data.decision must be one of: allowed, limited, bypassed, shadow_limited',
    ],
    [
      'no status',
      requestEvent('a', { timeMs: nowMs, data: { status: undefined as never } }),
      'data.status is missing',
    ],
  ])('%s makes a dead letter with the reason', (_name, value, reason) => {
    expect(reasonOf(value)).toBe(reason);
  });

  test('a time outside the bounds makes a dead letter, and the bounds themselves do not', () => {
    const at = (timeMs: number) => reasonOf(requestEvent('a', { timeMs, id: 'x' }));
    expect(at(0)).toMatch('more than 399 days ago');
    expect(at(Date.UTC(2100, 0, 1))).toMatch('more than 60 minutes in the future');
    expect(at(nowMs + 3_600_000)).toMatch('not dead');
    expect(at(nowMs + 3_600_001)).not.toMatch('not dead');
    expect(at(nowMs - 399 * 86_400_000)).toMatch('not dead');
    expect(at(nowMs - 399 * 86_400_000 - 1)).not.toMatch('not dead');
  });

  test('an event that is too large becomes a dead letter before it is parsed', () => {
    expect(reasonOf(Buffer.alloc(256 * 1024 + 1, 0x20))).toMatch('bytes, more than 262144');
  });

  test('decoding never throws, for arbitrary bytes and for changed valid events', () => {
    const good = requestEvent('acme', { timeMs: nowMs });
    const field = fc.constantFrom(
      ...Object.keys(good),
      ...Object.keys(good.data).map((name) => `data.${name}`),
    );
    fc.assert(
      fc.property(field, fc.jsonValue(), fc.uint8Array({ maxLength: 200 }), (path, value, bytes) => {
        const [name, inner] = path.split('.') as [string, string?];
        const changed =
          inner === undefined
            ? { ...good, [name]: value }
            : { ...good, data: { ...good.data, [inner]: value } };
        expect(['request', 'external', 'correction', 'dead']).toContain(read(changed).kind);
        expect(['request', 'external', 'correction', 'dead']).toContain(read(Buffer.from(bytes)).kind);
      }),
      { numRuns: 500, seed: Number(process.env['SEED'] ?? 1) },
    );
  });
});

// Goal: events in every form of the CloudEvents Kafka protocol binding are read.
import { describe, expect, test } from 'vitest';
import { eventOf } from '../../../../shared/domain/topics/cloud-event.ts';

const timestampMs = Date.UTC(2026, 10, 21, 12);
const attributes = {
  ce_specversion: '1.0',
  ce_id: 'e1',
  ce_source: '/app',
  ce_type: 'tokens',
  ce_subject: 'acme',
  ce_time: '2026-11-21T11:00:00Z',
};
const event = {
  specversion: '1.0',
  id: 'e1',
  source: '/app',
  type: 'tokens',
  subject: 'acme',
  time: '2026-11-21T11:00:00Z',
  data: { units: 3 },
};

function read(headers: Readonly<Record<string, string>>, value: string | Buffer | null) {
  return eventOf({ headers, timestampMs, value: value === null ? null : Buffer.from(value) });
}

test('without headers the value is the event, as a gateway writes it', () => {
  expect(read({}, JSON.stringify(event))).toEqual({ event });
});

describe('structured', () => {
  test.each(['application/cloudevents+json', 'application/CloudEvents+JSON; charset=utf-8'])('%s', (type) => {
    expect(read({ 'content-type': type, ce_id: 'not read' }, JSON.stringify(event))).toEqual({ event });
  });

  test.each([
    'application/cloudevents-batch+json',
    'application/cloudevents+avro',
    'application/cloudevents',
  ])('%s is rejected', (type) => {
    expect(read({ 'content-type': type }, '[]')).toMatchObject({
      violation: expect.stringContaining(type) as unknown,
    });
  });
});

describe('JSON that HTTP refuses as ambiguous is refused with the same reason', () => {
  const type = { 'content-type': 'application/json' };
  test.each([
    [
      'an event',
      {},
      '{"id":"e1","subject":"acme","subject":"globex"}',
      'the event has the member "subject" twice',
    ],
    ['data', { ...attributes, ...type }, '{"units":1,"units":5}', 'data has the member "units" twice'],
    ['a nested member', {}, '{"data":{"a":{"b":1,"\\u0062":2}}}', 'the event has the member "b" twice'],
    [
      'a deep event',
      {},
      '['.repeat(100_000) + ']'.repeat(100_000),
      'the event is nested deeper than 32 levels',
    ],
  ])('%s', (_what, headers, value, violation) => {
    expect(read(headers, value)).toEqual({ violation });
  });
});

describe('binary', () => {
  test.each([
    ['JSON', 'application/json'],
    ['a +json type', 'application/vnd.acme+json; charset=utf-8'],
    ['no content-type', undefined],
  ])('the headers are the attributes, and the value is the data: %s', (_what, type) => {
    const headers = type === undefined ? attributes : { ...attributes, 'content-type': type };
    expect(read({ ...headers, ce_traceparent: '00-ab', other: 'x' }, '{"units":3}')).toEqual({
      event: { ...event, traceparent: '00-ab' },
    });
  });

  test('header values are UTF-8 without percent-encoding', () => {
    expect(read({ ...attributes, ce_id: 'größer %41' }, '{}')).toMatchObject({ event: { id: 'größer %41' } });
  });

  test.each([null, ''])('a record without a value (%j) has no data', (value) => {
    expect(read(attributes, value)).toEqual({ event: { ...event, data: undefined } });
  });

  test.each([
    ['bad UTF-8 in a header', { ...attributes, ce_id: '\ufffd' }, '{}', /ce_id is not UTF-8/],
    ['bad UTF-8 in the value', attributes, Buffer.from([0x7b, 0xff, 0x7d]), /data is not UTF-8/],
    ['no JSON', attributes, '{', /data is not JSON/],
    ['text', { ...attributes, 'content-type': 'text/plain' }, 'hi', /content-type text\/plain/],
  ])('%s is rejected', (_what, headers, value, violation) => {
    expect(read(headers, value)).toEqual({ violation: expect.stringMatching(violation) as unknown });
  });
});

test('an event without a time has the time of its record', () => {
  const time = new Date(timestampMs).toISOString();
  expect(read({}, JSON.stringify({ ...event, time: undefined }))).toEqual({ event: { ...event, time } });
  const untimed = Object.entries(attributes).filter(([name]) => name !== 'ce_time');
  expect(read(Object.fromEntries(untimed), '{}')).toMatchObject({ event: { time } });
});

test.each([
  ['nothing', null, 'the record has no value'],
  ['no UTF-8', Buffer.from([0xff]), 'the event is not UTF-8'],
  ['no JSON', '{', 'the event is not JSON'],
  ['a list', '[]', 'the event is not a JSON object'],
])('%s is a violation and never throws', (_what, value, violation) => {
  expect(read({}, value)).toEqual({ violation });
});

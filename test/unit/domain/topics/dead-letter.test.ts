import { expect, test } from 'vitest';
import { deadLetterRecord, readDeadLetter } from '../../../../shared/domain/topics/dead-letter.ts';

const letter = {
  reason: 'not JSON',
  topic: 'tollgate.usage.v1',
  partition: 3,
  offset: 42,
  key: 'acme',
  value: Buffer.from([0xff, 0x00, 0x7b]),
  atMs: 1_795_248_983_000,
};

function read(record: ReturnType<typeof deadLetterRecord>) {
  return readDeadLetter({
    key: record.key?.toString() ?? null,
    value: record.value,
    headers: record.headers,
    timestampMs: letter.atMs + 5,
  });
}

test('a dead letter has its reason, the original bytes and their place', () => {
  expect(read(deadLetterRecord(letter))).toEqual({
    ...letter,
    lastOffset: 42,
    holds: 'record',
    tenantId: 'acme',
    group: '',
    headers: {},
    bytes: 3,
    cut: false,
  });
});

test('a record that never reached its topic has no partition and no offset', () => {
  expect(read(deadLetterRecord({ ...letter, partition: null, offset: null }))).toMatchObject({
    partition: null,
    offset: null,
  });
});

test('a value that is too large is cut, and its original length is stored', () => {
  const giant = read(deadLetterRecord({ ...letter, value: Buffer.alloc(2_000_000, 1) }));
  expect(giant).toMatchObject({ bytes: 2_000_000, cut: true });
  expect(giant.value.length).toBeLessThan(1_000_000);
});

test('a record of another writer is read as bytes without a reason', () => {
  const foreign = readDeadLetter({ key: null, value: Buffer.from('x'), headers: {}, timestampMs: 7 });
  expect(foreign).toMatchObject({ reason: '', topic: '', bytes: 1, cut: false, atMs: 7 });
});

test('the headers of the record are stored, without those of an earlier dead letter', () => {
  const headers = { ce_id: 'e1', ce_source: 'größer', 'content-type': 'application/json' };
  const kept = read(deadLetterRecord({ ...letter, headers: { ...headers, 'tollgate-replay': '0-1' } }));
  expect(kept).toMatchObject({ headers, reason: 'not JSON', cut: false });
  expect(Object.keys(kept.headers)).toEqual(Object.keys(headers));
  const giant = read(deadLetterRecord({ ...letter, headers: { ce_note: 'x'.repeat(70_000) } }));
  expect(giant).toMatchObject({ headers: {}, cut: true });
});

test.each([
  ['the subject of an event', '{"subject":"acme"}', 'key', 'acme'],
  ['the tenant_id of a record', '{"tenant_id":"acme"}', 'key', 'acme'],
  ['the key where the value names none', '{"subject":7}', 'key', 'key'],
  ['the key where the value is not JSON', 'x', 'key', 'key'],
  ['null where there is neither', 'null', null, null],
  ['null where the key is longer than any id', 'x', 'k'.repeat(300), null],
])('a dead letter names its tenant: %s', (_, value, key, tenantId) => {
  expect(read(deadLetterRecord({ ...letter, key, value: Buffer.from(value) })).tenantId).toBe(tenantId);
});

test('a key that is too large is left out, and the dead letter is written', () => {
  expect(deadLetterRecord({ ...letter, key: 'k'.repeat(20_000) }).key).toBeNull();
});

test.each([
  ['the far future', '9999-12-31T00:00:00Z'],
  ['the far past', '1970-01-01T00:00:00Z'],
  ['the end of what a date can be', '+275760-09-13T00:00:00.000Z'],
  ['no time at all', 'soon'],
])('a dead letter with a stated time in %s has the timestamp of Kafka', (_when, at) => {
  const record = deadLetterRecord(letter);
  const forged = { ...record, headers: { ...record.headers, 'tollgate-at': at } };
  expect(read(forged).atMs).toBe(letter.atMs + 5);
});

test.each([[null], [-1], [Number.MAX_SAFE_INTEGER]])(
  'an impossible timestamp of Kafka (%s) is read as the earliest time',
  (timestampMs) => {
    const { atMs } = readDeadLetter({
      key: null,
      value: null,
      headers: { 'tollgate-at': '9999-12-31T00:00:00Z' },
      timestampMs,
    });
    expect(new Date(atMs).toISOString()).toBe('1970-01-01T00:00:00.000Z');
  },
);

test.each(['9'.repeat(400), String(2 ** 53), String(2 ** 31)])(
  'an impossible size is ignored: %s',
  (bytes) => {
    const record = deadLetterRecord(letter);
    const forged = { ...record, headers: { ...record.headers, 'tollgate-bytes': bytes } };
    expect(read(forged)).toMatchObject({ bytes: 3, cut: false });
  },
);

test('an impossible place is read as no place', () => {
  const record = deadLetterRecord(letter);
  const forged = { ...record, headers: { ...record.headers, 'tollgate-offset': '9'.repeat(30) } };
  expect(read(forged)).toMatchObject({ offset: null, lastOffset: null });
});

// Goal: a reader of a topic returns a valid value unchanged, and rejects it when one required field is wrong or missing.
import { describe, expect, test } from 'vitest';
import { readAlert } from '../../../../shared/domain/topics/alert.ts';
import { readDelivery } from '../../../../shared/domain/topics/delivery.ts';
import { readSessionEnd } from '../../../../shared/domain/topics/session-end.ts';
import { readTotals } from '../../../../shared/domain/topics/totals.ts';

const at = '2026-11-21T12:00:00Z';
const alert = {
  id: 'alert-1',
  kind: 'threshold',
  tenant_id: 'acme',
  plan: 'free',
  limit_name: 'day',
  threshold: 0.8,
  period: at,
  limit: 100,
  used: 80,
  exhausted_at: null,
  at,
};
const delivery = {
  alert,
  channel: 'webhook',
  target_id: 'hook',
  target: 'https://example.com',
  partition: 0,
  status: 'pending',
  attempts: 0,
  next_attempt_ms: 1,
  created_ms: 1,
  updated_ms: 1,
  error: '',
};
const period = {
  start: '2026-11-21',
  requests: 1,
  allowed: 1,
  limited: 0,
  bypassed: 0,
  errors: 0,
  units: 1,
  consumed: null,
  cost: 0.5,
};
const totals = {
  tenant_id: 'acme',
  plan: 'free',
  day: period,
  month: period,
  complete_through: at,
  announced_at: at,
};

const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const readers: [string, object, (value: unknown) => unknown][] = [
  ['an alert', alert, (value) => readAlert(bytes(value))],
  ['a delivery', delivery, (value) => readDelivery({ key: 'alert-1/hook', value: bytes(value) })],
  ['totals', totals, (value) => readTotals({ key: 'acme', value: bytes(value) })],
];

describe.each(readers)('%s', (_name, valid, read) => {
  test('is returned unchanged, with fields that newer releases add', () => {
    expect(read(valid)).toEqual(valid);
    expect(read({ ...valid, added_later: 1 })).toEqual({ ...valid, added_later: 1 });
  });

  test.each(Object.keys(valid))('is rejected without %s, and with another type of it', (field) => {
    expect(read({ ...valid, [field]: undefined })).toBeNull();
    expect(read({ ...valid, [field]: [{}] })).toBeNull();
  });

  test.each([null, [], 'text', 1])('is never %j', (value) => {
    expect(read(value)).toBeNull();
  });
});

test('text that ClickHouse cannot store, times that do not exist, and keys of other values are rejected', () => {
  expect(readAlert(bytes({ ...alert, plan: '\ud800' }))).toBeNull();
  expect(readAlert(bytes({ ...alert, at: '2026-02-30T00:00:00Z' }))).toBeNull();
  expect(readDelivery({ key: 'alert-2/hook', value: bytes(delivery) })).toBeNull();
  expect(readTotals({ key: 'other', value: bytes(totals) })).toBeNull();
});

test('a session end names one token or everything of an owner', () => {
  expect(readSessionEnd(bytes({ owner: 'acme', untilMs: 5 }))).toEqual({ owner: 'acme', untilMs: 5 });
  expect(readSessionEnd(bytes({ owner: 'acme', validFromMs: 5 }))).toEqual({ owner: 'acme', validFromMs: 5 });
  for (const value of [{ owner: 'acme' }, { untilMs: 5 }, { owner: 1, untilMs: 5 }, null])
    expect(readSessionEnd(bytes(value))).toBeUndefined();
});

// Goal: a roll replaces a key without a gap and without more rights; no key can create one that may do more than itself.
import { describe, expect, test } from 'vitest';
import { apiKeysOf } from '../../../shared/domain/tenant.ts';
import type { ApiKey, KeyScope, TenantRecord } from '../../../shared/domain/tenant.ts';
import { addKey, grantorIn, rollKey, violationOfGrant } from '../../../shared/tenants/api-keys.ts';

const nowMs = Date.parse('2026-11-27T12:00:00Z');
const hourMs = 3_600_000;
const at = (ms: number): string => new Date(ms).toISOString();
const [old, next] = ['a'.repeat(64), 'b'.repeat(64)];
const scope: KeyScope = { permissions: ['requests', 'usage'], routes: ['GET /v1/**'] };

function recordWith(keys: readonly ApiKey[], hashes: readonly string[] = []): TenantRecord {
  return { tenant_id: 'acme', api_keys: keys, api_keys_sha256: hashes, updated_at: '', updated_by: '' };
}

function rolled(record: TenantRecord, overlapMs: number): readonly ApiKey[] {
  const outcome = rollKey(record, old, { sha256: next, overlapMs }, nowMs);
  if (!outcome.ok) throw new Error(outcome.detail);
  return apiKeysOf(outcome.value.record);
}

describe('a roll', () => {
  test('gives the successor name and scope, and the old key an end', () => {
    const key = { sha256: old, name: 'CI', scope, created_at: at(nowMs - hourMs) };
    expect(rolled(recordWith([key]), hourMs)).toEqual([
      { ...key, expires_at: at(nowMs + hourMs), rolled_to: next },
      { sha256: next, name: 'CI', scope, created_at: at(nowMs) },
    ]);
    expect(rolled(recordWith([key]), 0)[0]).toMatchObject({ expires_at: at(nowMs) });
  });

  test('never moves the end of the old key into the future; the successor lives as long as it did', () => {
    const key = { sha256: old, created_at: at(nowMs - 9 * hourMs), expires_at: at(nowMs + hourMs) };
    expect(rolled(recordWith([key]), 24 * hourMs)).toMatchObject([
      { expires_at: at(nowMs + hourMs) },
      { expires_at: at(nowMs + 10 * hourMs) },
    ]);
  });

  test('ends a key without a description too, which earlier gateways would otherwise accept for ever', () => {
    const outcome = rollKey(recordWith([], [old]), old, { sha256: next, overlapMs: hourMs }, nowMs);
    expect(outcome).toMatchObject({
      ok: true,
      value: {
        record: { api_keys_sha256: [], api_keys: [{ sha256: old, expires_at: at(nowMs + hourMs) }, {}] },
      },
    });
  });

  test('of a key with a very late end gives the successor a valid end', () => {
    const key = { sha256: old, created_at: at(nowMs - hourMs), expires_at: '9999-12-31T23:59:59.999Z' };
    expect(rolled(recordWith([key]), hourMs)[1]).toMatchObject({ expires_at: '9999-12-31T23:59:59.999Z' });
  });

  test('gives the successor no later end than the caller allows', () => {
    const wanted = { sha256: next, overlapMs: 0, successorEndMsMax: nowMs + hourMs };
    const outcome = rollKey(recordWith([{ sha256: old }]), old, wanted, nowMs);
    expect(outcome).toMatchObject({
      value: { record: { api_keys: [{}, { expires_at: at(nowMs + hourMs) }] } },
    });
  });

  test.each([
    ['a key that was rolled before', [{ sha256: old, rolled_to: 'c'.repeat(64) }], 0, 409],
    ['an ended key', [{ sha256: old, expires_at: at(nowMs) }], 0, 409],
    ['an unknown key', [], 0, 404],
    ['an overlap of more than 30 days', [{ sha256: old }], 31 * 24 * hourMs, 422],
    ['an overlap that is no number', [{ sha256: old }], NaN, 422],
  ])('of %s is refused', (_what, keys, overlapMs, status) => {
    expect(rollKey(recordWith(keys), old, { sha256: next, overlapMs }, nowMs)).toMatchObject({ status });
  });
});

test.each<[string, KeyScope]>([
  ['an unknown permission', { permissions: ['request'] }],
  ['no permission', { permissions: [] }],
  ['routes without the permission requests', { permissions: ['usage'], routes: ['GET /x'] }],
  ['a pattern without a method', { permissions: ['requests'], routes: ['/v1/**'] }],
])('a key with a scope of %s is not created', (_what, wrong) => {
  expect(addKey(recordWith([]), next, { scope: wrong }, nowMs)).toMatchObject({
    status: 422,
    field: 'scope',
  });
});

describe('a session may change keys', () => {
  const manage: KeyScope = { permissions: ['manage'] };

  test('within the scope and the end that its key has in the record', () => {
    const key = { sha256: old, scope: manage, expires_at: at(nowMs + hourMs) };
    const value = { scope: manage, endMs: nowMs + hourMs };
    expect(grantorIn(recordWith([key]), old, nowMs)).toEqual({ ok: true, value });
    expect(grantorIn(recordWith([]), null, nowMs)).toMatchObject({ value: { scope: null, endMs: Infinity } });
  });

  test.each<[string, readonly ApiKey[]]>([
    ['was revoked', [{ sha256: next }]],
    ['has ended', [{ sha256: old, expires_at: at(nowMs) }]],
    ['may not manage keys', [{ sha256: old, scope: { permissions: ['usage'] } }]],
  ])('not if its key %s', (_what, keys) => {
    expect(grantorIn(recordWith(keys), old, nowMs)).toMatchObject({ ok: false, status: 409 });
  });
});

test.each<[KeyScope | undefined, KeyScope | null, boolean]>([
  [undefined, null, true],
  [{ permissions: ['manage'] }, null, true],
  [undefined, scope, false],
  [{ permissions: ['usage'] }, scope, true],
  [{ permissions: ['usage', 'manage'] }, scope, false],
  [{ permissions: ['requests'] }, scope, false],
  [{ permissions: ['requests'], routes: ['GET /v1/**'] }, scope, true],
  [{ permissions: ['requests'], routes: ['GET /v1/**', 'POST /x'] }, scope, false],
  [{ permissions: ['requests'], routes: ['GET /x'] }, { permissions: ['requests', 'manage'] }, true],
])('scope %j is granted by a caller with %j: %s', (wanted, own, expected) => {
  expect(violationOfGrant(wanted, own) === null).toBe(expected);
});

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import { changedFields, entryId } from '../../../../shared/tenants/record/audited-change.ts';

const base: TenantRecord = { tenant_id: 'acme', updated_at: '2026-01-01T00:00:00Z', updated_by: 'robin' };

describe('the changed fields of a record', () => {
  test('are only those that changed; what every change sets is left out', () => {
    const before: TenantRecord = { ...base, plan: 'free', overrides: { minute: 5, day: 9 }, version: 1 };
    const after: TenantRecord = {
      ...base,
      plan: 'pro',
      overrides: { minute: 7, day: 9 },
      version: 2,
      history: [],
    };
    expect(changedFields(before, { ...after, updated_at: 'later', updated_by: 'kim' })).toEqual({
      before: { plan: 'free', overrides: { minute: 5 } },
      after: { plan: 'pro', overrides: { minute: 7 } },
    });
  });

  test('of a list are the elements that were added or removed', () => {
    const boost = (id: string) => ({
      ...{ id, limit: 'minute', multiply: 2, reason: 'launch', actor: 'robin' },
      ...{ starts_at: '2026-01-01T00:00:00Z', ends_at: '2026-01-02T00:00:00Z' },
    });
    const before = { ...base, boosts: [boost('a'), boost('b')] };
    const after = { ...base, boosts: [boost('b'), boost('c')] };
    expect(changedFields(before, after)).toEqual({
      before: { boosts: [boost('a')] },
      after: { boosts: [boost('c')] },
    });
  });

  test('of a deletion are all fields before it', () => {
    expect(changedFields({ ...base, plan: 'pro' }, null)).toEqual({
      before: { tenant_id: 'acme', plan: 'pro' },
      after: {},
    });
  });

  test('contain no secret and no complete hash, whatever changed; the change of a secret is visible', () => {
    const secret = fc.string({
      minLength: 24,
      maxLength: 60,
      unit: fc.constantFrom('a', 'b', 'c', 'X', 'Y', '0', '1', '9'),
    });
    fc.assert(
      fc.property(secret, secret, secret, secret, (one, two, slack, key) => {
        const sha256 = createHash('sha256').update(key).digest('hex');
        const withSecret = (webhookSecret: string): TenantRecord => ({
          ...base,
          api_keys: [{ sha256, name: 'CI' }],
          api_keys_sha256: [sha256],
          notifications: {
            webhooks: [{ url: `https://hooks.example/${slack}?t=${slack}`, secrets: [webhookSecret] }],
            slack: [`https://hooks.slack.com/services/${slack}`],
          },
        });
        for (const [before, after] of [
          [null, withSecret(one)],
          [withSecret(one), null],
          [withSecret(one), withSecret(two)],
        ] as const) {
          const fields = changedFields(before, after);
          const text = JSON.stringify(fields);
          for (const hidden of [one, two, slack, sha256]) expect(text).not.toContain(hidden);
          if (one !== two) expect(fields.before).not.toEqual(fields.after);
        }
      }),
    );
  });
});

test('the id of an entry follows from the entry of the history, so that copies are one entry', () => {
  const change = { at: base.updated_at, actor: 'robin', action: 'put', detail: 'Plan pro' };
  expect(entryId('acme', change)).toBe(entryId('acme', { ...change }));
  for (const other of [{ at: 'x' }, { actor: 'x' }, { action: 'x' }, { detail: 'x' }])
    expect(entryId('acme', { ...change, ...other })).not.toBe(entryId('acme', change));
  expect(entryId('globex', change)).not.toBe(entryId('acme', change));
});

// Goal: removing the last part of a setting removes the setting from the record.
import { expect, test } from 'vitest';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import { withoutEmptyObjects } from '../../../../shared/tenants/record/empty-objects.ts';
import { patchSettings } from '../../../../shared/tenants/settings.ts';
import { policyOf } from '../../policy/text.ts';

test('objects without fields are removed, also nested ones; lists and other values stay', () => {
  expect(withoutEmptyObjects({ a: { b: { c: {} }, d: 0 }, e: {}, f: [{}], g: null, h: '', i: [] })).toEqual({
    ...{ a: { d: 0 }, f: [{}], g: null, h: '', i: [] },
  });
});

test('a record keeps no setting without content', () => {
  const policy = policyOf({
    plans: '{ free: { limits: [{ name: day, per: tenant, limit: 50, window: 1d, type: quota }] } }',
  });
  const stored: TenantRecord = {
    ...{ tenant_id: 'acme', updated_at: '', updated_by: 'kim', overrides: { day: 100 } },
    notifications: { limits: { day: { thresholds: [0.5] } } },
  };
  const written = (patch: object) => {
    const outcome = patchSettings(stored, { ...patch }, policy);
    return outcome.ok ? outcome.value : null;
  };
  const alerts = written({ notifications: { limits: { day: { thresholds: null } } } });
  expect(alerts?.record).not.toHaveProperty('notifications');
  expect(alerts?.detail).toBe('notifications removed');
  const limits = written({ overrides: { day: null } });
  expect(limits?.record).not.toHaveProperty('overrides');
  expect(limits?.detail).toBe('overrides: {"day":100} → none');
  expect(limits?.record.notifications).toEqual(stored.notifications);
});

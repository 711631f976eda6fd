// Goal: each limit that can refuse a tenant's requests can be alerted on, and a setting without effect is refused.
import { expect, test } from 'vitest';
import { alertableLimits, limitsSection } from '../../../../services/console/portal/alerts/limits-section.ts';
import type { LimitNotifications, TenantRecord } from '../../../../shared/domain/tenant.ts';
import { patchSettings } from '../../../../shared/tenants/settings.ts';
import { explainRefusal } from '../../../../shared/tenants/decisions/explain-refusal.ts';
import { policyOf } from '../../policy/text.ts';

const policy = policyOf({
  plans: `
  free:
    limits:
      - { name: minute, per: tenant, limit: 5, window: 1m }
      - { name: day, per: tenant, limit: 50, window: 1d, type: quota }
      - { name: user-day, per: user, limit: 50, window: 1d, type: quota }
      - { name: at-once, per: tenant, limit: 3, type: concurrent }
      - { name: tried, per: tenant, limit: 1, type: concurrent, mode: shadow }`,
  platform: '{ limits: [{ name: all, per: global, type: concurrent, limit: 100 }], shares: { address: 1 } }',
});
const stored: TenantRecord = {
  ...{ tenant_id: 'acme', updated_at: '2026-03-10T12:00:00Z', updated_by: 'kim' },
  notifications: { emails: ['dev@example.com'], limits: { gone: { refusals: 3 } } },
};

test('C8: concurrent limits are offered with a number of refusals, as sliding ones; what cannot be alerted on says so', () => {
  const limits = alertableLimits(policy, null, null, 0);
  expect(Object.fromEntries(limits.map(({ limit, by }) => [limit.name, by]))).toEqual({
    'at-once': 'refusals',
    tried: 'nothing',
    'all-tenant': 'refusals',
    'user-day': 'refusals',
    minute: 'refusals',
    day: 'shares',
  });
  const { markup } = limitsSection(limits, null, true, null);
  expect(markup).toContain('name="refusals:at-once"');
  expect(markup).toContain('your share of the platform');
  expect(markup).toMatch(/Tried[^]*?In shadow mode it refuses nothing/);
  expect(markup.replaceAll(/\s+/g, ' ')).toContain('Limits of the whole platform are not yours');
});

/** The violations of a patch of the settings of single limits, by field. */
function violationsOf(limits: Record<string, LimitNotifications | null>): Record<string, string> {
  const outcome = patchSettings(stored, { notifications: { limits } }, policy);
  const violations = outcome.ok ? [] : (outcome.violations ?? []);
  return Object.fromEntries(violations.map(({ field, reason }) => [field, reason]));
}

test('C8: the admin API takes refusals of every limit and shares of quotas, and refuses settings without effect', () => {
  const refusals = { refusals: 5 };
  expect(
    violationsOf({ 'at-once': refusals, 'all-tenant': refusals, minute: refusals, 'user-day': refusals }),
  ).toEqual({});
  expect(violationsOf({ day: { thresholds: [0.7] } })).toEqual({});
  for (const name of ['at-once', 'all-tenant', 'minute', 'user-day'])
    expect(violationsOf({ [name]: { thresholds: [0.7] } })).toEqual({
      [`notifications.limits.${name}.thresholds`]: `“${name}” is no calendar quota of the whole tenant, so it has no used share; set \`refusals\``,
    });
  expect(violationsOf({ mintue: refusals })['notifications.limits.mintue']).toMatch(
    /no limit “mintue”; it has: minute, day, .*all-tenant/,
  );
  expect(violationsOf({ all: refusals })['notifications.limits.all']).toContain(
    'limit of the whole platform',
  );
  expect(violationsOf({ tried: refusals })).toEqual({
    'notifications.limits.tried.refusals': '“tried” is in shadow mode, so it refuses nothing',
  });
  // A setting without content removes what is stored, so a name that neither the policy nor the record has is a violation.
  expect(violationsOf({ dya: {} })).toHaveProperty(['notifications.limits.dya']);
  expect(violationsOf({ gone: { refusals: null } as never })).toEqual({});
  // Stored settings of a limit that the policy no longer has neither prevent other changes nor their own removal.
  expect(violationsOf({ gone: null })).toEqual({});
  expect(violationsOf({ gone: { refusals: 4 } })).toHaveProperty(['notifications.limits.gone']);
});

test('a refusal by a concurrent limit is explained by requests at once, not by a window', () => {
  const event = { time: '2026-03-10T12:00:00Z', route: '*', plan: 'free', limited_by: ['at-once'] };
  expect(explainRefusal(event, policy, null)).toMatchObject({
    reason:
      'The limit “at-once” allows 3 requests at the same time for your whole account; as many were in progress.',
    ...{ latestPassMs: null, withoutTime: 'when-others-end' },
    advice: 'Send fewer requests at once, and wait for some of them to end.',
  });
});

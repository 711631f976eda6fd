import { describe, expect, test } from 'vitest';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import { violationsOfRecord, violationsOfSettings } from '../../../../shared/tenants/record/violations.ts';

const times = { starts_at: '2026-11-21T11:00:00Z', ends_at: '2026-11-22T11:00:00Z' };
const boost = { id: 'b1', limit: 'minute', multiply: 2, reason: 'launch', actor: 'kim', ...times };
const full: TenantRecord = {
  tenant_id: 'acme',
  plan: 'pro',
  display_name: 'Acme',
  overrides: { minute: 500, 'day-2_x': 0 },
  boosts: [boost, { ...boost, multiply: 1, id: 'b2' }],
  block: { until: null, reason: 'abuse', actor: 'kim' },
  api_keys_sha256: ['0'.repeat(64)],
  notifications: {
    thresholds: [0.5, 1],
    webhooks: [{ url: 'https://example.com/x', secrets: ['whsec_12345678'] }],
    slack: ['http://example.com'],
    emails: ['dev@example.com'],
  },
  time_zone: 'Europe/Zurich',
  reset: { at_ms: 1, actor: 'kim', day_units: 0, month_units: 0.5 },
  history: [{ at: times.starts_at, actor: 'kim', action: 'put', detail: '' }],
  updated_at: times.starts_at,
  updated_by: 'kim',
};

test('a complete record is valid, also with fields of a newer version', () => {
  expect(violationsOfRecord(full)).toEqual([]);
  expect(violationsOfRecord({ ...full, colour: 'red', block: { ...full.block, kind: 'soft' } })).toEqual([]);
});

/** Settings, the field of the violation, and words of its reason. */
const bad: readonly (readonly [object, string, string])[] = [
  [{ plan: '' }, 'plan', 'must not be empty'],
  [{ plan: null }, 'plan', 'must be a text'],
  [{ colour: 'red' }, '', 'no field “colour”'],
  [{ notifications: { email: ['a@b.ch'] } }, 'notifications', 'no field “email”'],
  [{ overrides: { minute: '5' } }, 'overrides.minute', 'must be a number'],
  [{ overrides: { minute: -1 } }, 'overrides.minute', '-1 must be at least 0'],
  [{ overrides: { minute: Infinity } }, 'overrides.minute', 'must be a number'],
  [{ overrides: { 'a\nb': 'not a number' } }, 'overrides.a\nb', 'must be a number'],
  [{ overrides: { 'a\nb': 1 } }, 'overrides', 'pattern'],
  [{ boosts: [{ ...boost, multiply: undefined }] }, 'boosts.0', 'either multiply or set_to'],
  [{ boosts: [boost, { ...boost, set_to: 1 }] }, 'boosts.1', 'either multiply or set_to'],
  [{ boosts: [{ ...boost, ends_at: 'soon' }] }, 'boosts.0.ends_at', '“soon” is no RFC 3339 time'],
  [{ boosts: [{ ...boost, ends_at: '2026-12-31T23:59:60Z' }] }, 'boosts.0.ends_at', 'no RFC 3339 time'],
  [{ boosts: [{ ...boost, actor: undefined }] }, 'boosts.0.actor', 'is missing'],
  [{ block: { until: null, reason: 'abuse', actor: '' } }, 'block.actor', 'must not be empty'],
  [{ block: { until: null, reason: '', actor: 'kim' } }, 'block.reason', 'must not be empty'],
  [{ api_keys_sha256: ['tgk_secret'] }, 'api_keys_sha256.0', 'pattern'],
  [{ notifications: { thresholds: [1.5] } }, 'notifications.thresholds.0', '1.5 must be at most 1'],
  [{ notifications: { emails: ['a@b..ch'] } }, 'notifications.emails.0', '“a@b..ch” is no e-mail address'],
  [{ notifications: { slack: ['ftp://x'] } }, 'notifications.slack.0', 'is no web address'],
  [{ notifications: { slack: ['https://user:password@x'] } }, 'notifications.slack.0', 'is no web address'],
  [{ time_zone: 'Mars/Olympus' }, 'time_zone', 'is no IANA time zone'],
  [{ time_zone: '+01:00' }, 'time_zone', 'is no IANA time zone'],
  [{ display_name: 'half \ud800' }, 'display_name', 'not well-formed Unicode'],
];

describe('writers and readers have one contract', () => {
  test.each(bad)('%j: %s', (settings, field, reason) => {
    expect(violationsOfSettings(settings)).toContainEqual({
      field,
      reason: expect.stringContaining(reason) as string,
    });
    // A reader accepts unknown fields, but refuses every other violation that a writer refuses.
    if (!reason.startsWith('no field')) expect(violationsOfRecord({ ...full, ...settings })).not.toEqual([]);
  });

  test.each([null, 1, 'text', [], [full], {}, { tenant_id: 'acme' }])('%j is not a record', (value) => {
    expect(violationsOfRecord(value)).not.toEqual([]);
  });

  test('of thousands of violations the first are reported, and no secret is repeated', () => {
    const emails = Array.from({ length: 10_000 }, () => 'x');
    expect(violationsOfSettings({ notifications: { emails } }).length).toBeLessThanOrEqual(20);
    const webhooks = [{ url: 'https://a.b', secrets: ['secret'] }];
    expect(JSON.stringify(violationsOfSettings({ notifications: { webhooks } }))).not.toContain('“secret');
  });
});

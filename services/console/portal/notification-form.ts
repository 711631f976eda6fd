import { randomBytes } from 'node:crypto';
import type { NotificationSettings, TenantRecord } from '../../../shared/domain/tenant.ts';
import { violationsOfSettings } from '../../../shared/tenants/record/violations.ts';
import { contractRejection, success } from '../../../shared/tenants/outcome.ts';
import type { Outcome } from '../../../shared/tenants/outcome.ts';
import type { Edit } from '../../../shared/tenants/records.ts';

/** The notification settings in the form in which the page shows them. */
export interface NotificationTexts {
  readonly thresholds: readonly number[];
  /** Further thresholds in percent, as they were entered. */
  readonly otherThresholds: string;
  readonly webhooks: string;
  readonly slack: string;
  readonly emails: string;
  readonly secrets: readonly { readonly url: string; readonly secret: string }[];
}

/**
 * Texts for the form: from a record's settings (with the policy's thresholds if the record has none), or from a form
 * that was just submitted.
 */
export function textsOf(
  source: NotificationSettings | URLSearchParams | undefined,
  policyThresholds: readonly number[] = [],
): NotificationTexts {
  if (source instanceof URLSearchParams) {
    const text = (name: string): string => source.get(name) ?? '';
    const thresholds = source.getAll('threshold').map(Number);
    return {
      thresholds,
      otherThresholds: text('other_thresholds'),
      webhooks: text('webhooks'),
      slack: text('slack'),
      emails: text('emails'),
      secrets: [],
    };
  }
  const webhooks = source?.webhooks ?? [];
  return {
    thresholds: source?.thresholds ?? policyThresholds,
    otherThresholds: '',
    webhooks: webhooks.map(({ url }) => url).join('\n'),
    slack: (source?.slack ?? []).join('\n'),
    emails: (source?.emails ?? []).join('\n'),
    secrets: webhooks.flatMap(({ url, secrets }) => secrets.slice(0, 1).map((secret) => ({ url, secret }))),
  };
}

/**
 * The record with the settings from the form. A webhook that was already in the record keeps its secrets; a new
 * webhook gets one secret.
 */
export function notificationsFrom(form: URLSearchParams, record: TenantRecord): Outcome<Edit> {
  const lines = (name: string): string[] => [
    ...new Set(
      (form.get(name) ?? '')
        .split(/\s+/)
        .map((line) => line.trim())
        .filter((line) => line !== ''),
    ),
  ];
  const before = record.notifications?.webhooks ?? [];
  const notifications: NotificationSettings = {
    thresholds: [
      ...new Set([
        ...form.getAll('threshold').map(Number),
        ...percentages(form.get('other_thresholds') ?? ''),
      ]),
    ].toSorted((a, b) => a - b),
    webhooks: lines('webhooks').map(
      (url) => before.find((hook) => hook.url === url) ?? { url, secrets: [newSecret()] },
    ),
    slack: lines('slack'),
    emails: lines('emails'),
  };
  const violations = violationsOfSettings({ notifications });
  if (violations.length > 0) return contractRejection(violations, 'Notifications not saved');
  const { webhooks = [], slack = [], emails = [], thresholds = [] } = notifications;
  return success({
    record: { ...record, notifications },
    action: 'notifications',
    detail: `Notifications at ${thresholds.join(', ') || 'no threshold'} to ${webhooks.length} webhooks, ${slack.length} Slack addresses, ${emails.length} e-mail addresses`,
  });
}

/** Shares of a text such as `60, 95`; NaN for a word that is no number, which the contract of records refuses. */
function percentages(text: string): number[] {
  return text
    .split(/[\s,;%]+/)
    .filter((word) => word !== '')
    .map((word) => Math.round(Number(word) * 100) / 10_000);
}

/** Secret of a webhook in the Standard Webhooks format: 24 random bytes. */
function newSecret(): string {
  return `whsec_${randomBytes(24).toString('base64')}`;
}

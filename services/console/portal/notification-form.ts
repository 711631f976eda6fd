import { randomBytes } from 'node:crypto';
import type {
  LimitNotifications,
  NotificationSettings,
  TenantRecord,
} from '../../../shared/domain/tenant.ts';
import { violationsOfSettings } from '../../../shared/tenants/record/violations.ts';
import { targetsIn } from '../../../shared/tenants/notification-targets.ts';
import { contractRejection, rejection, success } from '../../../shared/tenants/outcome.ts';
import type { Outcome } from '../../../shared/tenants/outcome.ts';
import type { Edit } from '../../../shared/tenants/records.ts';

/** The thresholds in the form in which the page shows them. */
export interface ThresholdTexts {
  readonly thresholds: readonly number[];
  /** Further thresholds in percent, as they were entered. */
  readonly otherThresholds: string;
}

/** Texts for the form: of a record's settings, or of a form that was just submitted. */
export function thresholdTexts(
  source: NotificationSettings | URLSearchParams | undefined,
  policyThresholds: readonly number[] = [],
): ThresholdTexts {
  if (source instanceof URLSearchParams)
    return {
      thresholds: source.getAll('threshold').map(Number),
      otherThresholds: source.get('other_thresholds') ?? '',
    };
  return { thresholds: source?.thresholds ?? policyThresholds, otherThresholds: '' };
}

/** The record with the thresholds from the form, for all quotas without settings of their own. */
export function thresholdsFrom(form: URLSearchParams, record: TenantRecord): Outcome<Edit> {
  const thresholds = inOrder([
    ...form.getAll('threshold').map(Number),
    ...percentages(form.get('other_thresholds') ?? ''),
  ]);
  return edited(record, { thresholds }, `Notifications at ${thresholds.join(', ') || 'no threshold'}`);
}

export const sharesField = (limitName: string): string => `at:${limitName}`;
export const refusalsField = (limitName: string): string => `refusals:${limitName}`;

/**
 * The record with the settings of single limits from the form. An empty field removes the setting. Limits without a
 * field, such as those of another plan, keep their settings.
 */
export function limitSettingsFrom(form: URLSearchParams, record: TenantRecord): Outcome<Edit> {
  const limits = new Map<string, LimitNotifications>(Object.entries(record.notifications?.limits ?? {}));
  for (const [field, text] of form) {
    const [, kind, name = ''] = /^(at|refusals):(.+)$/.exec(field) ?? [];
    if (kind === undefined) continue;
    const { thresholds, refusals, ...others } = limits.get(name) ?? {};
    const isSet = text.trim() !== '';
    if (kind === 'at') {
      const own = isSet ? { thresholds: inOrder(text.trim() === 'none' ? [] : percentages(text)) } : {};
      limits.set(name, { ...others, ...own, ...(refusals === undefined ? {} : { refusals }) });
    } else {
      const own = isSet ? { refusals: Number(text) } : {};
      limits.set(name, { ...others, ...(thresholds === undefined ? {} : { thresholds }), ...own });
    }
  }
  const used = [...limits].filter(([, settings]) => Object.keys(settings).length > 0);
  const names = used.map(([name]) => name).join(', ');
  return edited(
    record,
    { limits: Object.fromEntries(used) },
    `Notifications of single limits: ${names || 'none'}`,
  );
}

/** The record with one more target. A new webhook gets a secret. */
export function withTarget(form: URLSearchParams, record: TenantRecord): Outcome<Edit> {
  const address = (form.get('address') ?? '').trim();
  const { webhooks = [], slack = [], emails = [] } = record.notifications ?? {};
  switch (form.get('channel')) {
    case 'webhook': {
      const others = webhooks.filter(({ url }) => url !== address);
      const same = webhooks.find(({ url }) => url === address);
      const hook = same ?? { url: address, secrets: [newSecret()] };
      return edited(record, { webhooks: [...others, hook] }, 'Notifications to one more webhook');
    }
    case 'slack':
      return edited(
        record,
        { slack: unique([...slack, address]) },
        'Notifications to one more Slack address',
      );
    case 'email':
      return edited(
        record,
        { emails: unique([...emails, address]) },
        `Notifications by e-mail to ${address.slice(0, 254)}`,
      );
    default:
      return rejection(422, 'Not saved', 'Choose a webhook, Slack or e-mail.', 'channel');
  }
}

/** The record without one target. */
export function withoutTarget(targetId: string, record: TenantRecord): Outcome<Edit> {
  const settings = record.notifications;
  const target = targetsIn(settings).find(({ id }) => id === targetId);
  if (target === undefined) return rejection(404, 'No such target', 'It may have been removed already.');
  const { address, channel, shown } = target;
  const { webhooks = [], slack = [], emails = [] } = settings ?? {};
  const change: NotificationSettings =
    channel === 'webhook'
      ? { webhooks: webhooks.filter(({ url }) => url !== address) }
      : channel === 'slack'
        ? { slack: slack.filter((url) => url !== address) }
        : { emails: emails.filter((one) => one !== address) };
  return edited(record, change, `No notifications to ${shown} any longer`);
}

function edited(record: TenantRecord, change: NotificationSettings, detail: string): Outcome<Edit> {
  const notifications: NotificationSettings = { ...record.notifications, ...change };
  const violations = violationsOfSettings({ notifications });
  if (violations.length > 0) return contractRejection(violations, 'Notifications not saved');
  return success({ record: { ...record, notifications }, action: 'notifications', detail });
}

/** Shares of a text such as `60, 95`; NaN for a word that is no number, which the contract of records refuses. */
function percentages(text: string): number[] {
  return text
    .split(/[\s,;%]+/)
    .filter((word) => word !== '')
    .map((word) => Math.round(Number(word) * 100) / 10_000);
}

function inOrder(shares: readonly number[]): number[] {
  return [...new Set(shares)].toSorted((a, b) => a - b);
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}

/** Secret of a webhook in the Standard Webhooks format: 24 random bytes. */
function newSecret(): string {
  return `whsec_${randomBytes(24).toString('base64')}`;
}

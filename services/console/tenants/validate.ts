import { isTimeZone } from '../../../shared/domain/calendar.ts';
import type { Limit } from '../../../shared/domain/limit.ts';
import { isEmailAddress, isWebAddress } from '../../../shared/domain/notification-target.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { NotificationSettings, TenantRecord } from '../../../shared/domain/tenant.ts';

/** All limits of the policy that count something, by plan, then route, then platform. */
function limitsOf(policy: Policy): readonly Limit[] {
  return [
    ...[...policy.plans.values()].flatMap((plan) => plan.limits),
    ...policy.routes.flatMap((route) => [
      ...route.limits,
      ...[...(route.limitsByPlan?.values() ?? [])].flat(),
    ]),
  ];
}

/** Names that an override or a boost may speak of. */
export function limitNames(policy: Policy): readonly string[] {
  return [...new Set(limitsOf(policy).map((limit) => limit.name))];
}

/** What is wrong with a record that fits the schema, one sentence each; empty when nothing is. */
export function mistakesInRecord(record: TenantRecord, policy: Policy): readonly string[] {
  const mistakes: string[] = [];
  if (record.plan !== undefined && !policy.plans.has(record.plan))
    mistakes.push(
      `plan: the policy has no plan “${record.plan}”. It has: ${[...policy.plans.keys()].join(', ')}.`,
    );
  const known = limitNames(policy);
  for (const name of Object.keys(record.overrides ?? {})) {
    if (!known.includes(name))
      mistakes.push(`overrides: the policy has no limit “${name}”. It has: ${known.join(', ')}.`);
  }
  if (record.time_zone !== undefined && !isTimeZone(record.time_zone))
    mistakes.push(`time_zone: “${record.time_zone}” is no IANA zone such as Europe/Zurich.`);
  return [...mistakes, ...mistakesInNotifications(record.notifications ?? {})];
}

export function mistakesInNotifications(settings: NotificationSettings): readonly string[] {
  const mistakes: string[] = [];
  for (const threshold of settings.thresholds ?? []) {
    if (!(threshold > 0 && threshold <= 1))
      mistakes.push(`Threshold ${threshold}: give a share of the limit above 0 and at most 1 (100 %).`);
  }
  for (const url of [...(settings.webhooks ?? []).map((webhook) => webhook.url), ...(settings.slack ?? [])]) {
    if (!isWebAddress(url))
      mistakes.push(`“${shortened(url)}” is no web address; it must begin with https:// or http://.`);
  }
  for (const address of settings.emails ?? []) {
    if (!isEmailAddress(address)) mistakes.push(`“${shortened(address)}” is no e-mail address.`);
  }
  return mistakes;
}

const shownLengthMax = 100;

/** As much of a text as a sentence about it needs. */
function shortened(text: string): string {
  return text.length > shownLengthMax ? `${text.slice(0, shownLengthMax)}…` : text;
}

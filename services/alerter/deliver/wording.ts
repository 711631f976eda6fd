import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import { allowedText } from '../unit-text.ts';
import { counted, nounFor } from '../../../shared/domain/text/counted.ts';

/** The text of a notification, the same in every channel. */
export interface Wording {
  readonly title: string;
  readonly lines: readonly string[];
}

export function wordingOf(alert: AlertEvent): Wording {
  const title = titleOf(alert);
  if (alert.kind === 'test') return { title, lines: ['If you read this, notifications reach you.'] };
  return { title, lines: [...usageLines(alert), ...forecastLines(alert), `Plan: ${alert.plan}.`] };
}

function titleOf({ kind, tenant_id, limit_name, threshold, used, limit }: AlertEvent): string {
  switch (kind) {
    case 'threshold':
      return `${tenant_id} has used ${percent(threshold)} of its ${limit_name} quota`;
    case 'exceeded':
      return threshold > 1
        ? `${tenant_id} has used ${percent(threshold)} of its ${limit_name} quota`
        : `${tenant_id} has used up its ${limit_name} quota`;
    case 'forecast':
      return `${tenant_id} will use up its ${limit_name} quota before it starts anew`;
    case 'rearmed':
    case 'recovered':
      return `${tenant_id} has room in its ${limit_name} quota again`;
    case 'rejections':
      return `${percent(used / Math.max(limit, 1))} of the requests of ${tenant_id} were refused in the last minute`;
    case 'test':
      return `Test message for ${tenant_id}`;
  }
}

function usageLines(alert: AlertEvent): string[] {
  const { kind, used, limit, limit_name, period_ends_at } = alert;
  if (kind === 'rejections')
    return [
      `${used} of ${counted(limit, 'request')} ${nounFor(used, 'was', 'were')} refused, most of them by "${limit_name}".`,
    ];
  const usage = `${usedText(alert)} of ${allowedText(alert)} used`;
  if (kind === 'recovered' || period_ends_at === undefined) return [`${usage}.`];
  return [`${usage}. It starts anew at ${period_ends_at}.`];
}

/** Amounts with decimals are rounded to 2 decimals, `4.00`, unless the limit is below 1. */
function usedText({ used, limit, decimals = 0 }: AlertEvent): string {
  return decimals === 0 ? String(used) : used.toFixed(limit < 1 ? decimals : Math.min(2, decimals));
}

function forecastLines({ exhausted_at }: AlertEvent): string[] {
  return exhausted_at === null ? [] : [`At the recent rate it is used up at ${exhausted_at}.`];
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
}

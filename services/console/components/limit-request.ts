import type { Policy } from '../../../shared/domain/policy.ts';
import type { LimitRequest, TenantRecord } from '../../../shared/domain/tenant.ts';
import { durationForReading, durationInWords } from '../../../shared/domain/time/format-duration.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { quantityOfLimit } from '../../../shared/tenants/record/policy-violations.ts';
import { amountText, title } from './format.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';

const tones = { open: 'warn', approved: 'good', declined: 'bad', withdrawn: 'plain' } as const;
const states = {
  open: 'waits for an answer',
  approved: 'approved',
  declined: 'declined',
  withdrawn: 'withdrawn',
} as const;

export function requestBadge({ state }: LimitRequest): Html {
  return html`<span class="badge ${tones[state]}">${states[state]}</span>`;
}

/** A value of the limit of this name, for display. */
export function limitValueText(policy: Policy, limit: string, value: number): string {
  return amountText(policy, quantityOfLimit(policy, limit), value);
}

/** What is requested: `Minute: 500 instead of 100, for 7 days`. */
export function requestLine(policy: Policy, request: LimitRequest): Html {
  const { limit, current, wanted, for_seconds: seconds } = request;
  return html`<strong>${title(limit)}</strong>:
    ${limitValueText(policy, limit, wanted)}${current === undefined ? null : ` instead of ${limitValueText(policy, limit, current)}`},
    ${seconds === undefined ? 'for good' : `for ${durationInWords(seconds * 1000)}`}`;
}

/** What was granted, and until when. An operator can end the boost before its planned end. */
export function grantText(
  policy: Policy,
  request: LimitRequest,
  record: TenantRecord | null,
  { nowMs, zone }: { readonly nowMs: number; readonly zone: string },
): string | null {
  const { state, limit, granted, ends_at: planned, boost_id: boostId } = request;
  if (state !== 'approved' || granted === undefined) return null;
  const value = limitValueText(policy, limit, granted);
  const end = record?.boosts?.find(({ id }) => id === boostId)?.ends_at ?? planned;
  if (end === undefined) return `Raised to ${value} for good.`;
  const leftMs = Date.parse(end) - nowMs;
  return leftMs > 0
    ? `Raised to ${value} until ${formatTime(end, zone)}: it ends by itself in ${durationForReading(leftMs)}.`
    : `Raised to ${value} until ${formatTime(end, zone)}; it has ended.`;
}

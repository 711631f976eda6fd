import type { Policy } from '../../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import { spanMs } from '../../../../shared/domain/time/duration.ts';
import type { BlockRequest } from '../../../../shared/tenants/block.ts';
import type { BoostRequest } from '../../../../shared/tenants/boosts.ts';
import { rejection, success } from '../../../../shared/tenants/outcome.ts';
import type { Outcome } from '../../../../shared/tenants/outcome.ts';
import type { Edit } from '../../../../shared/tenants/records.ts';
import { patchSettings } from '../../../../shared/tenants/settings.ts';

/**
 * Reads the forms of a tenant's page into requests. The same code that checks requests to the admin API checks the
 * fields.
 */

const shownLengthMax = 100;

/** The record with the plan, the name and the limit overrides from the form. */
export function planFrom(form: URLSearchParams, record: TenantRecord, policy: Policy): Outcome<Edit> {
  // The form contains all overrides of the record. An override that the operator deleted from the form is removed.
  const overrides = new Map<string, number | null>();
  for (const name of Object.keys(record.overrides ?? {})) overrides.set(name, null);
  for (const line of (form.get('overrides') ?? '').split('\n').map((text) => text.trim())) {
    if (line === '') continue;
    const [, name, value] = /^(\S+)\s*[=:]\s*([\d.]+)$/.exec(line) ?? [];
    if (name === undefined || value === undefined || !Number.isFinite(Number(value))) {
      const shown = line.slice(0, shownLengthMax);
      return rejection(422, 'Not saved', `“${shown}” is not a limit; write it as: minute = 500`, 'overrides');
    }
    overrides.set(name, Number(value));
  }
  const patch = {
    plan: textOrNull(form.get('plan') ?? ''),
    display_name: textOrNull((form.get('display_name') ?? '').trim()),
    overrides: [...overrides.values()].every((value) => value === null)
      ? null
      : Object.fromEntries(overrides),
  };
  const outcome = patchSettings(record, patch, policy);
  return outcome.ok ? success({ ...outcome.value, action: 'plan' }) : { ...outcome, title: 'Not saved' };
}

/** The record with the time zone, the billing day and the group from the form. */
export function settingsFrom(form: URLSearchParams, record: TenantRecord, policy: Policy): Outcome<Edit> {
  const text = (name: string): string | null => textOrNull((form.get(name) ?? '').trim());
  const day = text('billing_day');
  const patch = {
    time_zone: text('time_zone'),
    // Text that is no number is kept, so that the contract of the record refuses it.
    billing_day: day === null || Number.isNaN(Number(day)) ? day : Number(day),
    group: text('group'),
  };
  const outcome = patchSettings(record, patch, policy);
  return outcome.ok ? success({ ...outcome.value, action: 'settings' }) : { ...outcome, title: 'Not saved' };
}

export function boostFrom(form: URLSearchParams, actor: string, nowMs: number): BoostRequest {
  const text = (form.get('value') ?? '').trim();
  // `Number` would convert an empty field to 0, and a limit of 0 refuses all requests.
  const value = text === '' ? Number.NaN : Number(text);
  const startText = (form.get('starts') ?? '').trim();
  const startMs = startText === '' ? nowMs : Date.parse(`${startText}Z`);
  return {
    limit: form.get('limit') ?? '',
    ...(form.get('how') === 'set_to' ? { set_to: value } : { multiply: value }),
    ...(startText === '' ? {} : { starts_at: isoOrText(startMs, startText) }),
    ends_at: endOf(form, Number.isNaN(startMs) ? nowMs : startMs) ?? '',
    reason: (form.get('reason') ?? '').trim(),
    actor,
  };
}

export function blockFrom(form: URLSearchParams, nowMs: number): BlockRequest {
  return { until: endOf(form, nowMs), reason: (form.get('reason') ?? '').trim() };
}

/**
 * End of the period that the form states as a duration (`7d`: seven days after the start). An empty field means no end and
 * returns null. Any other text is returned unchanged, so that the check of the time rejects it instead of treating it
 * as empty.
 */
function endOf(form: URLSearchParams, startMs: number): string | null {
  const text = (form.get('for') ?? '').trim();
  if (text === '') return null;
  const durationMs = spanMs(text);
  return durationMs === null ? text : new Date(startMs + durationMs).toISOString();
}

/** Returns an invalid time as entered; the record's contract refuses it and states why. */
function isoOrText(timeMs: number, text: string): string {
  return Number.isNaN(timeMs) ? text : new Date(timeMs).toISOString();
}

function textOrNull(text: string): string | null {
  return text === '' ? null : text;
}

import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { spanMs } from '../../../shared/domain/time/duration.ts';
import type { KeyRequest } from '../../../shared/tenants/api-keys.ts';
import type { BlockRequest } from '../../../shared/tenants/block.ts';
import type { BoostRequest } from '../../../shared/tenants/boosts.ts';
import { rejection, success } from '../../../shared/tenants/outcome.ts';
import type { Outcome } from '../../../shared/tenants/outcome.ts';
import type { Edit } from '../../../shared/tenants/records.ts';
import { patchSettings } from '../../../shared/tenants/settings.ts';

/** Requests that the forms of a tenant's page make. Fields are checked where the admin API's are checked too. */

const shownLengthMax = 100;

/** The record with the plan, name and limit overrides of the form. */
export function planFrom(form: URLSearchParams, record: TenantRecord, policy: Policy): Outcome<Edit> {
  // The form shows every override: one that it no longer names is removed.
  const overrides = new Map<string, number | null>();
  for (const name of Object.keys(record.overrides ?? {})) overrides.set(name, null);
  for (const line of (form.get('overrides') ?? '').split('\n').map((text) => text.trim())) {
    if (line === '') continue;
    const [, name, value] = /^(\S+)\s*[=:]\s*([\d.]+)$/.exec(line) ?? [];
    if (name === undefined || value === undefined || !Number.isFinite(Number(value))) {
      const shown = line.slice(0, shownLengthMax);
      return rejection(422, 'Not saved', `“${shown}” is not a limit; write it as: minute = 500`);
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

export function boostFrom(form: URLSearchParams, actor: string, nowMs: number): BoostRequest {
  const text = (form.get('value') ?? '').trim();
  // `Number` reads an empty field as 0, which would refuse all requests.
  const value = text === '' ? Number.NaN : Number(text);
  return {
    limit: form.get('limit') ?? '',
    ...(form.get('how') === 'set_to' ? { set_to: value } : { multiply: value }),
    ends_at: endOf(form, nowMs) ?? '',
    reason: (form.get('reason') ?? '').trim(),
    actor,
  };
}

export function blockFrom(form: URLSearchParams, nowMs: number): BlockRequest {
  return { until: endOf(form, nowMs), reason: (form.get('reason') ?? '').trim() };
}

export function keyFrom(form: URLSearchParams, nowMs: number): KeyRequest {
  const name = (form.get('name') ?? '').trim().slice(0, 200);
  const end = endOf(form, nowMs);
  return {
    ...(name === '' ? {} : { name }),
    ...(end === null ? {} : { expires_at: end }),
  };
}

/**
 * End of the form's duration (`7d` from now on); null for an empty field, which means without an end. Any other text is
 * returned unchanged: it is rejected where a time is expected, and never read as an empty field.
 */
function endOf(form: URLSearchParams, nowMs: number): string | null {
  const text = (form.get('for') ?? '').trim();
  if (text === '') return null;
  const durationMs = spanMs(text);
  return durationMs === null ? text : new Date(nowMs + durationMs).toISOString();
}

function textOrNull(text: string): string | null {
  return text === '' ? null : text;
}

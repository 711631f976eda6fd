import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { done, refused } from '../problem.ts';
import type { Outcome } from '../problem.ts';
import type { Edit } from '../tenants/records.ts';
import { patchSettings } from '../tenants/settings.ts';

const shownLengthMax = 100;

/** The record with the plan, name and own limits of the form. */
export function planFrom(form: URLSearchParams, record: TenantRecord, policy: Policy): Outcome<Edit> {
  // The form shows all of them: what it no longer names is removed.
  const overrides = new Map<string, number | null>();
  for (const name of Object.keys(record.overrides ?? {})) overrides.set(name, null);
  for (const line of (form.get('overrides') ?? '').split('\n').map((text) => text.trim())) {
    if (line === '') continue;
    const [, name, value] = /^(\S+)\s*[=:]\s*([\d.]+)$/.exec(line) ?? [];
    if (name === undefined || value === undefined || !Number.isFinite(Number(value))) {
      const shown = line.slice(0, shownLengthMax);
      return refused(422, 'Not saved', `“${shown}” is no limit; write it as: minute = 500`);
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
  return outcome.ok ? done({ ...outcome.value, action: 'plan' }) : { ...outcome, title: 'Not saved' };
}

function textOrNull(text: string): string | null {
  return text === '' ? null : text;
}

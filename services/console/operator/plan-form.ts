import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { done, refused } from '../problem.ts';
import type { Outcome } from '../problem.ts';
import type { Edit } from '../tenants/records.ts';
import { mistakesInRecord } from '../tenants/validate.ts';

/** The record with the plan, name and own limits of the form. */
export function planFrom(form: URLSearchParams, record: TenantRecord, policy: Policy): Outcome<Edit> {
  const overrides: Record<string, number> = {};
  for (const line of (form.get('overrides') ?? '').split('\n').map((text) => text.trim())) {
    if (line === '') continue;
    const [, name, value] = /^(\S+)\s*[=:]\s*([\d.]+)$/.exec(line) ?? [];
    if (name === undefined || value === undefined || !Number.isFinite(Number(value)))
      return refused(422, 'Not saved', `“${line}” is no limit; write it as: minute = 500`);
    overrides[name] = Number(value);
  }
  const plan = form.get('plan') ?? '';
  const name = (form.get('display_name') ?? '').trim();
  const changed = {
    ...othersOf(record),
    ...(plan === '' ? {} : { plan }),
    ...(name === '' ? {} : { display_name: name }),
    ...(Object.keys(overrides).length === 0 ? {} : { overrides }),
  } as TenantRecord;
  const mistakes = mistakesInRecord(changed, policy);
  if (mistakes.length > 0) return refused(422, 'Not saved', mistakes.join(' '));
  const told = (one: TenantRecord): string =>
    `plan ${one.plan ?? 'as its token says'}, own limits ${JSON.stringify(one.overrides ?? {})}`;
  return done({ record: changed, action: 'plan', detail: `${told(record)} → ${told(changed)}` });
}

function othersOf(record: TenantRecord): object {
  const ofForm = new Set(['plan', 'display_name', 'overrides']);
  return Object.fromEntries(Object.entries(record).filter(([name]) => !ofForm.has(name)));
}

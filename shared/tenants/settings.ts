import { mergePatch } from '../domain/merge-patch.ts';
import type { Policy } from '../domain/policy.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import type { Violation } from '../runtime/http/schema-violations.ts';
import { contractRejection, success } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { withoutEmptyObjects } from './record/empty-objects.ts';
import { violationsOfSettings } from './record/violations.ts';
import { violationsOfPolicy } from './record/policy-violations.ts';
import { settingNames } from './record/schema.ts';
import type { Edit } from './records.ts';

type Json = Readonly<Record<string, unknown>>;

/** Settings that have their own endpoints. A PUT whose body does not contain one of them leaves it unchanged. */
const keptNames = ['boosts', 'block', 'api_keys_sha256', 'api_keys'] as const;
/** Fields that only the server writes. A PUT ignores them, so that a client can send back the response to a GET. */
const serverNames: ReadonlySet<string> = new Set([
  ...['limit_requests', 'internal_note', 'reset', 'history', 'version', 'updated_at', 'updated_by'],
]);

/**
 * PUT: replaces the settings by those in the body. Removes settings that the body does not contain, except
 * `keptNames`.
 */
export function replaceSettings(before: TenantRecord, body: Json, policy: Policy): Outcome<Edit> {
  const { tenant_id: tenantId, ...fields } = body;
  const named = Object.fromEntries(Object.entries(fields).filter(([name]) => !serverNames.has(name)));
  const settings = { ...picked(before, keptNames), ...named };
  return edited(before, settings, 'put', policy, otherTenant(before, tenantId));
}

/**
 * PATCH: applies a JSON merge patch (RFC 7396) to the settings. Settings that the patch does not contain are
 * unchanged; null removes a setting.
 */
export function patchSettings(before: TenantRecord, patch: Json, policy: Policy): Outcome<Edit> {
  const { tenant_id: tenantId, ...fields } = patch;
  const current = picked(before, settingNames);
  const settings = withUntil(mergePatch(current, fields) as Json);
  const violations = [...otherTenant(before, tenantId), ...unknownRemovals(current, fields)];
  return edited(before, settings, 'patch', policy, violations);
}

/**
 * `block.until` is the only field of a record that can be null. A merge patch removes nulls, so a block without
 * `until` gets `until: null`.
 */
function withUntil(settings: Json): Json {
  const { block } = settings;
  return typeof block === 'object' && block !== null && !('until' in block)
    ? { ...settings, block: { until: null, ...block } }
    : settings;
}

function edited(
  before: TenantRecord,
  settings: Json,
  action: 'put' | 'patch',
  policy: Policy,
  found: readonly Violation[],
): Outcome<Edit> {
  const inSettings = violationsOfSettings(settings);
  const violations = [...found, ...inSettings];
  // Only changed settings are compared with the policy, because stored settings may name plans and limits that it no
  // longer has.
  if (inSettings.length === 0)
    violations.push(...violationsOfPolicy(changedIn(before, settings), policy, before));
  if (violations.length > 0) return contractRejection(violations, 'Record not written');
  const others = Object.entries(before).filter(
    ([name]) => !(settingNames as readonly string[]).includes(name),
  );
  const record = withoutEmptyObjects({
    ...Object.fromEntries(others),
    ...settings,
  } as unknown as TenantRecord);
  return success({ record, action, detail: describeChange(before, record) });
}

function changedIn(before: TenantRecord, settings: Json): Partial<TenantRecord> {
  const text = (value: unknown): string | undefined => JSON.stringify(value);
  const names = settingNames.filter((name) => text(before[name]) !== text(settings[name]));
  const changed: Partial<TenantRecord> = Object.fromEntries(names.map((name) => [name, settings[name]]));
  if (changed.notifications?.limits === undefined) return changed;
  const limits = Object.entries(changed.notifications.limits).filter(
    ([name, one]) => text(before.notifications?.limits?.[name]) !== text(one),
  );
  return { ...changed, notifications: { ...changed.notifications, limits: Object.fromEntries(limits) } };
}

function picked(record: TenantRecord, names: readonly (keyof TenantRecord)[]): Json {
  return Object.fromEntries(
    names.flatMap((name) => (record[name] === undefined ? [] : [[name, record[name]]])),
  );
}

function otherTenant({ tenant_id: id }: TenantRecord, named: unknown): readonly Violation[] {
  if (named === undefined || named === id) return [];
  const other = typeof named === 'string' ? `“${named.slice(0, 100)}”` : 'something else';
  return [{ field: 'tenant_id', reason: `the body says ${other}, the path “${id}”` }];
}

/**
 * Violations for names that the patch sets to null but that are no settings. The null would remove nothing, so the
 * client has probably misspelt the name.
 */
function unknownRemovals(current: Json, patch: Json): readonly Violation[] {
  const known: readonly string[] = settingNames;
  return Object.entries(patch)
    .filter(([name, value]) => value === null && !known.includes(name) && !(name in current))
    .map(([name]) => ({
      field: name.slice(0, 100),
      reason: serverNames.has(name) ? 'is kept by the server' : 'there is no such field',
    }));
}

const shownNames = ['plan', 'display_name', 'overrides', 'group', 'time_zone', 'billing_day'] as const;

/** Description of a change for the history: old and new values of short fields, only the names of other fields. */
function describeChange(before: TenantRecord, after: TenantRecord): string {
  const text = (value: unknown): string => (value === undefined ? 'none' : JSON.stringify(value));
  const values = shownNames
    .filter((name) => text(before[name]) !== text(after[name]))
    .map((name) => `${name}: ${text(before[name])} → ${text(after[name])}`);
  const others = (['notifications', ...keptNames] as const)
    .filter((name) => text(before[name]) !== text(after[name]))
    .map((name) => `${name} ${after[name] === undefined ? 'removed' : 'changed'}`);
  return [...values, ...others].join('; ') || 'Written without a change';
}

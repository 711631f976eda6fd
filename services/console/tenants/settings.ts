import { mergePatch } from '../../../shared/domain/merge-patch.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { Fault } from '../../../shared/runtime/http/schema-faults.ts';
import { faultsUnderPolicy } from '../../../shared/tenants/policy-faults.ts';
import { faultsInSettings } from '../../../shared/tenants/record-faults.ts';
import { settingNames } from '../../../shared/tenants/record-schema.ts';
import { done, refusedFor } from '../problem.ts';
import type { Outcome } from '../problem.ts';
import type { Edit } from './records.ts';

type Json = Readonly<Record<string, unknown>>;

/** What has endpoints of its own: a PUT that does not name it leaves it as it is. */
const keptNames = ['boosts', 'block', 'api_keys_sha256', 'api_keys'] as const;
/** The server's own: a PUT passes over them, so that what GET answers can be sent back. */
const serverNames: ReadonlySet<string> = new Set(['reset', 'history', 'version', 'updated_at', 'updated_by']);

/** PUT: the settings are those of the body, and the ones that it does not name are removed, but for `keptNames`. */
export function replaceSettings(before: TenantRecord, body: Json, policy: Policy): Outcome<Edit> {
  const { tenant_id: tenantId, ...rest } = body;
  const given = Object.fromEntries(Object.entries(rest).filter(([name]) => !serverNames.has(name)));
  const settings = { ...picked(before, keptNames), ...given };
  return edited(before, settings, 'put', policy, otherTenant(before, tenantId));
}

/** PATCH: a JSON merge patch (RFC 7396) of the settings. What it does not name stays, and null removes. */
export function patchSettings(before: TenantRecord, patch: Json, policy: Policy): Outcome<Edit> {
  const { tenant_id: tenantId, ...rest } = patch;
  const current = picked(before, settingNames);
  const settings = withUntil(mergePatch(current, rest) as Json);
  const faults = [...otherTenant(before, tenantId), ...removalsOfNothing(current, rest)];
  return edited(before, settings, 'patch', policy, faults);
}

/** The one null of a record, of a block until it is lifted, cannot be said in a merge patch: there it is left out. */
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
  found: readonly Fault[],
): Outcome<Edit> {
  const inSettings = faultsInSettings(settings);
  const faults = [...found, ...inSettings];
  // What was there already may speak of what the policy no longer has; only what is new is held against it.
  if (inSettings.length === 0) faults.push(...faultsUnderPolicy(changedIn(before, settings), policy));
  if (faults.length > 0) return refusedFor(faults, 'Record not written');
  const others = Object.entries(before).filter(
    ([name]) => !(settingNames as readonly string[]).includes(name),
  );
  const record = { ...Object.fromEntries(others), ...settings } as unknown as TenantRecord;
  return done({ record, action, detail: difference(before, record) });
}

function changedIn(before: TenantRecord, settings: Json): Partial<TenantRecord> {
  const text = (value: unknown): string | undefined => JSON.stringify(value);
  const names = settingNames.filter((name) => text(before[name]) !== text(settings[name]));
  return Object.fromEntries(names.map((name) => [name, settings[name]]));
}

function picked(record: TenantRecord, names: readonly (keyof TenantRecord)[]): Json {
  return Object.fromEntries(
    names.flatMap((name) => (record[name] === undefined ? [] : [[name, record[name]]])),
  );
}

function otherTenant({ tenant_id: id }: TenantRecord, named: unknown): readonly Fault[] {
  if (named === undefined || named === id) return [];
  const other = typeof named === 'string' ? `“${named.slice(0, 100)}”` : 'something else';
  return [{ field: 'tenant_id', reason: `the body says ${other}, the path “${id}”` }];
}

/** A null whose name means nothing would be done without a word: it is a slip, or the server's own field. */
function removalsOfNothing(current: Json, patch: Json): readonly Fault[] {
  const known: readonly string[] = settingNames;
  return Object.entries(patch)
    .filter(([name, value]) => value === null && !known.includes(name) && !(name in current))
    .map(([name]) => ({
      field: name.slice(0, 100),
      reason: serverNames.has(name) ? 'is kept by the server' : 'there is no such field',
    }));
}

const told = ['plan', 'display_name', 'overrides', 'time_zone'] as const;

/** What changed, for the history: values of short fields, names of the others. */
function difference(before: TenantRecord, after: TenantRecord): string {
  const text = (value: unknown): string => (value === undefined ? 'none' : JSON.stringify(value));
  const values = told
    .filter((name) => text(before[name]) !== text(after[name]))
    .map((name) => `${name}: ${text(before[name])} → ${text(after[name])}`);
  const others = (['notifications', ...keptNames] as const)
    .filter((name) => text(before[name]) !== text(after[name]))
    .map((name) => `${name} ${after[name] === undefined ? 'removed' : 'changed'}`);
  return [...values, ...others].join('; ') || 'Written without a change';
}

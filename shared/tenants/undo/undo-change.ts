import { hasRole } from '../../domain/operators/operator.ts';
import type { Role } from '../../domain/operators/operator.ts';
import type { Policy } from '../../domain/policy.ts';
import type { FieldChange, RecordChange, TenantRecord } from '../../domain/tenant.ts';
import { formatTime } from '../../domain/time/format-time.ts';
import type { Violation } from '../../runtime/http/schema-violations.ts';
import { contractRejection, rejection, success } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';
import { entryId } from '../record/audited-change.ts';
import { violationsOfPolicy } from '../record/policy-violations.ts';
import type { Edit } from '../records.ts';
import { applyChanges, inverseOf, isSamePlace, isUnchangedSince } from './field-changes.ts';
import { undoableChangesMax } from './stored-changes.ts';

/** Whether a change can be undone now. */
export type UndoState =
  | { readonly kind: 'possible'; readonly role: Role }
  | { readonly kind: 'undone'; readonly by: RecordChange }
  /** Another change has replaced a value that this one set. */
  | { readonly kind: 'conflict'; readonly detail: string }
  | { readonly kind: 'final'; readonly detail: string };

/** The entries of a record's history with their ids, which all states of undo of the record need. */
export interface IdentifiedHistory {
  readonly record: TenantRecord;
  readonly ids: ReadonlyMap<RecordChange, string>;
  /** The undos that were not undone themselves, newest first. */
  readonly undosInForce: readonly RecordChange[];
}

export function identifyHistory(record: TenantRecord): IdentifiedHistory {
  const { tenant_id: tenantId, history = [] } = record;
  const ids = new Map(history.map((entry) => [entry, entryId(tenantId, entry)]));
  return { record, ids, undosInForce: undosInForce(history, ids) };
}

export function undoState(history: IdentifiedHistory, change: RecordChange, nowMs: number): UndoState {
  const { record, ids } = history;
  const { changes } = change;
  if (changes === undefined) return { kind: 'final', detail: finalTexts.get(change.action) ?? notKept };
  const id = ids.get(change);
  const by = history.undosInForce.find(({ undo_of: undone }) => undone === id);
  if (by !== undefined) return { kind: 'undone', by };
  const later = laterChanges(history, change);
  for (const one of changes) {
    const replacedBy = later.find((entry) => entry.changes?.some((other) => isSamePlace(one, other)));
    if (replacedBy !== undefined || !isUnchangedSince(record, one))
      return { kind: 'conflict', detail: conflictText(one, replacedBy) };
  }
  const reopened = changes.find((one) => hasOtherOpenRequest(record, one));
  if (reopened !== undefined)
    return { kind: 'conflict', detail: 'The tenant has another open request for the same limit.' };
  if (changes.every((one) => isOver(one, nowMs)))
    return { kind: 'final', detail: 'It has ended by itself, so there is nothing to undo.' };
  return {
    kind: 'possible',
    role: changes.some(({ field }) => adminFields.has(field)) ? 'admin' : 'support',
  };
}

export interface UndoRequest {
  /** Id of the entry in the history; null: the latest one, unless it is an undo, so that a retry changes nothing. */
  readonly changeId: string | null;
  readonly role: Role;
  readonly policy: Policy;
  readonly nowMs: number;
}

/** Restores the values that a change replaced, if no later change has replaced them again. The undo is a change itself. */
export function undoChange(record: TenantRecord, request: UndoRequest): Outcome<Edit> {
  const [latest = null] = record.history ?? [];
  const change = request.changeId === null ? latest : changeOf(record, request.changeId);
  if (request.changeId === null && latest?.undo_of !== undefined)
    return rejection(409, notUndone, 'The latest change is an undo itself. To undo it, name its id.');
  if (change === null)
    return rejection(404, notUndone, 'The history of this tenant has no such change, or not any more.');
  const state = undoState(identifyHistory(record), change, request.nowMs);
  if (state.kind === 'undone')
    return rejection(409, notUndone, `${state.by.actor} undid it, ${formatTime(state.by.at)}.`);
  if (state.kind !== 'possible') return rejection(409, notUndone, state.detail);
  if (!hasRole(request.role, state.role))
    return rejection(403, notUndone, `To undo this change, the role “${state.role}” is needed.`);
  const inverse = inverseOf(change.changes ?? []);
  const violations = inverse.flatMap((one) => violationsOf(one, request));
  if (violations.length > 0) return contractRejection(violations, notUndone);
  return success({
    record: applyChanges(record, inverse),
    action: 'undo',
    detail: `Undid what ${change.actor} did at ${formatTime(change.at)}: ${change.detail}`,
    undoOf: entryId(record.tenant_id, change),
  });
}

/** The entry of this id in the history. */
export function changeOf(
  { tenant_id: id, history = [] }: TenantRecord,
  changeId: string,
): RecordChange | null {
  return history.find((change) => entryId(id, change) === changeId) ?? null;
}

const notUndone = 'Nothing was undone';
const notKept = `Only the latest ${undoableChangesMax} changes of settings by operators can be undone.`;

/** Why changes with this action cannot be undone. */
const finalTexts: ReadonlyMap<string, string> = new Map([
  ['reset', 'A reset cannot be undone: it deletes the content of the windows, of which no copy exists.'],
  ['api-key', 'To undo it, revoke the key.'],
  ['api-key-roll', 'A roll cannot be undone: the new key may be in use already.'],
  ['api-key-delete', 'A revoked key stays revoked; create a new one.'],
  ['notifications', 'Targets and thresholds are not kept; set them again.'],
]);

/** Fields that only the role `admin` changes. */
const adminFields: ReadonlySet<string> = new Set([
  ...['plan', 'display_name', 'overrides', 'group', 'time_zone', 'billing_day'],
]);

function undosInForce(
  history: readonly RecordChange[],
  ids: ReadonlyMap<RecordChange, string>,
): readonly RecordChange[] {
  const undone = new Set<string>();
  return history.filter((entry) => {
    if (entry.undo_of === undefined || undone.has(ids.get(entry) ?? '')) return false;
    undone.add(entry.undo_of);
    return true;
  });
}

/**
 * The later changes that are still in force, newest first. A later change and its undo have no effect together, so neither
 * counts. Values alone do not show a later change: another one may have set the same value again.
 */
function laterChanges(
  { record: { history = [] }, ids, undosInForce: inForce }: IdentifiedHistory,
  change: RecordChange,
): readonly RecordChange[] {
  const later = history.slice(0, history.indexOf(change));
  const undone = new Set(inForce.map(({ undo_of: id }) => id));
  const laterIds = new Set(later.map((entry) => ids.get(entry)));
  return later.filter(
    (entry) => !undone.has(ids.get(entry)) && !(entry.undo_of !== undefined && laterIds.has(entry.undo_of)),
  );
}

function conflictText(replaced: FieldChange, by: RecordChange | undefined): string {
  const what = 'key' in replaced ? `${replaced.field} “${replaced.key}”` : replaced.field;
  return by === undefined
    ? `Another change has replaced ${what} since.`
    : `${by.actor} changed ${what} after it, ${formatTime(by.at)}: ${by.detail}`;
}

/** True if an undo of this answer would make a second open request for one limit. */
function hasOtherOpenRequest({ limit_requests: requests = [] }: TenantRecord, change: FieldChange): boolean {
  const { field, from } = change;
  if (field !== 'limit_requests' || from?.state !== 'open') return false;
  return requests.some(({ id, limit, state }) => state === 'open' && limit === from.limit && id !== from.id);
}

/** True if neither value of a block or boost is in force any more, so that an undo would have no effect. */
function isOver(change: FieldChange, nowMs: number): boolean {
  const { field, from, to } = change;
  if (field === 'block') return [from, to].every((block) => isPast(block === null ? 0 : block.until, nowMs));
  if (field === 'boosts')
    return [from, to].every((boost) => isPast(boost === null ? 0 : boost.ends_at, nowMs));
  return false;
}

/** Null: without an end. */
function isPast(end: string | number | null, nowMs: number): boolean {
  return end !== null && new Date(end).getTime() <= nowMs;
}

/** Plans and limits that an undo would restore and that the policy does not have any more. */
function violationsOf({ field, to, ...change }: FieldChange, { policy }: UndoRequest): readonly Violation[] {
  if (to === null) return [];
  if (field === 'plan') return violationsOfPolicy({ plan: to }, policy);
  if (field === 'boosts') return violationsOfPolicy({ boosts: [to] }, policy);
  if (field === 'overrides' && 'key' in change)
    return violationsOfPolicy({ overrides: { [change.key]: to } }, policy);
  return [];
}

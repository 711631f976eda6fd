import { historyEntriesMax } from '../../domain/tenant.ts';
import type { RecordChange, TenantRecord } from '../../domain/tenant.ts';
import { tenantItself } from '../../domain/topics/audit-entry.ts';
import type { Author } from '../../domain/topics/audit-entry.ts';
import { changesBetween } from './field-changes.ts';

/** Only the latest changes can be undone, because all gateways have the histories in memory. */
export const undoableChangesMax = 10;
/** A change with more values than this, such as a record with a hundred new overrides, cannot be undone. */
const changesLengthMax = 8_000;

/**
 * The part of a history entry from which the change can be undone. Empty if it cannot: then a field changed that has no
 * undo, nothing changed, or the tenant made the change itself, which operators do not take back.
 */
export function undoFields(
  before: TenantRecord,
  after: TenantRecord,
  { source }: Pick<Author, 'source'>,
): Pick<RecordChange, 'changes'> {
  const changes = source === 'portal' ? null : changesBetween(before, after);
  if (changes === null || changes.length === 0) return {};
  return JSON.stringify(changes).length > changesLengthMax ? {} : { changes };
}

/**
 * Of the history, at most this many entries are changes of the tenant itself, so that many saves in the portal do not remove
 * the latest changes of operators.
 */
export const tenantEntriesMax = 20;

/**
 * The history within its bounds: the newest entries of operators and of the tenant itself. Only the latest changes that
 * can be undone keep their values.
 */
export function trimHistory(history: readonly RecordChange[]): readonly RecordChange[] {
  const ofTenant = history.filter(isOfTenant).slice(0, tenantEntriesMax);
  const kept = history
    .filter((entry) => !isOfTenant(entry) || ofTenant.includes(entry))
    .slice(0, historyEntriesMax);
  const undoable = kept.filter(({ changes }) => changes !== undefined).slice(0, undoableChangesMax);
  return kept.map((entry) => (undoable.includes(entry) ? entry : withoutChanges(entry)));
}

/** True for a change in the portal. Its actor may also name the credential of the tenant. */
function isOfTenant({ actor }: RecordChange): boolean {
  return actor.startsWith(tenantItself.actor);
}

function withoutChanges(entry: RecordChange): RecordChange {
  const kept: { -readonly [Name in keyof RecordChange]: RecordChange[Name] } = { ...entry };
  delete kept.changes;
  return kept;
}

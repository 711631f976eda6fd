import type { RecordChange, TenantRecord } from '../../domain/tenant.ts';
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

/** The history in which only the latest changes have the values to undo them. */
export function withoutOldChanges(history: readonly RecordChange[]): readonly RecordChange[] {
  return history.map((entry, index) => {
    if (index < undoableChangesMax) return entry;
    const kept: { -readonly [Name in keyof RecordChange]: RecordChange[Name] } = { ...entry };
    delete kept.changes;
    return kept;
  });
}

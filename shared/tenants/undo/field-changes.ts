import { isDeepStrictEqual } from 'node:util';
import type { FieldChange, TenantRecord } from '../../domain/tenant.ts';
import { ofEveryChange } from '../record/audited-change.ts';

type Place = Pick<FieldChange, 'field'> & { readonly key?: string };

const valueFields = [
  ...['plan', 'display_name', 'group', 'time_zone', 'billing_day', 'block', 'internal_note'],
] as const;
/** Lists whose elements have an `id`. */
const listFields = ['boosts', 'limit_requests'] as const;
const undoableFields: ReadonlySet<string> = new Set([...valueFields, 'overrides', ...listFields]);

/**
 * The changes that make `after` out of `before`. Null if another field changed, such as API keys or a reset, because a change is
 * undone completely or not at all.
 */
export function changesBetween(before: TenantRecord, after: TenantRecord): readonly FieldChange[] | null {
  const [was, is]: [Fields, Fields] = [{ ...before }, { ...after }];
  const names = new Set([...Object.keys(was), ...Object.keys(is)]);
  for (const name of names)
    if (!undoableFields.has(name) && !ofEveryChange.has(name) && !isDeepStrictEqual(was[name], is[name]))
      return null;
  return placesIn(before, after).flatMap((place) => {
    const [from, to] = [valueAt(before, place), valueAt(after, place)];
    return isDeepStrictEqual(from, to) ? [] : [{ ...place, from, to } as FieldChange];
  });
}

/** The changes that undo these: `applyChanges` of both leaves a record as it was. */
export function inverseOf(changes: readonly FieldChange[]): readonly FieldChange[] {
  return changes
    .toReversed()
    .map((change) => ({ ...change, from: change.to, to: change.from }) as FieldChange);
}

export function applyChanges(record: TenantRecord, changes: readonly FieldChange[]): TenantRecord {
  return changes.reduce((changed, change) => withValue(changed, placeOf(change), change.to), record);
}

/** True if the record still has the value that the change gave it. */
export function isUnchangedSince(record: TenantRecord, change: FieldChange): boolean {
  return isDeepStrictEqual(valueAt(record, placeOf(change)), change.to);
}

/** True if both changes are about the same field and the same element. */
export function isSamePlace(one: FieldChange, other: FieldChange): boolean {
  return isDeepStrictEqual(placeOf(one), placeOf(other));
}

type Fields = Readonly<Record<string, unknown>>;

function placeOf(change: FieldChange): Place {
  return 'key' in change ? { field: change.field, key: change.key } : { field: change.field };
}

/** All places at which one of the records has a value. */
function placesIn(before: TenantRecord, after: TenantRecord): readonly Place[] {
  const keysOf = (record: TenantRecord, field: (typeof listFields)[number]): readonly string[] =>
    (record[field] ?? []).map(({ id }) => id);
  const both = <Key>(keys: (record: TenantRecord) => readonly Key[]): readonly Key[] => [
    ...new Set([...keys(before), ...keys(after)]),
  ];
  return [
    ...valueFields.map((field) => ({ field })),
    ...both(({ overrides = {} }) => Object.keys(overrides)).map(
      (key) => ({ field: 'overrides', key }) as const,
    ),
    ...listFields.flatMap((field) => both((record) => keysOf(record, field)).map((key) => ({ field, key }))),
  ];
}

/** The value at a place; null: none. */
function valueAt(record: TenantRecord, { field, key = '' }: Place): unknown {
  if (field === 'overrides') return record.overrides?.[key] ?? null;
  if (field === 'boosts' || field === 'limit_requests')
    return record[field]?.find(({ id }) => id === key) ?? null;
  return record[field] ?? null;
}

/** The record with the value at the place. A list or map that becomes empty is removed. */
function withValue(record: TenantRecord, { field, key = '' }: Place, value: unknown): TenantRecord {
  const { [field]: current, ...others } = record;
  if (field === 'overrides') {
    const kept = Object.entries(record.overrides ?? {}).filter(([name]) => name !== key);
    const overrides = Object.fromEntries(value === null ? kept : [...kept, [key, value]]);
    return (Object.keys(overrides).length === 0 ? others : { ...others, overrides }) as TenantRecord;
  }
  if (field === 'boosts' || field === 'limit_requests') {
    const list = withElement((current ?? []) as readonly Element[], key, value as Element | null);
    return list.length === 0 ? others : { ...others, [field]: list };
  }
  return value === null ? others : { ...others, [field]: value };
}

interface Element {
  readonly id: string;
}

function withElement(list: readonly Element[], id: string, value: Element | null): readonly Element[] {
  if (value === null) return list.filter((element) => element.id !== id);
  return list.some((element) => element.id === id)
    ? list.map((element) => (element.id === id ? value : element))
    : [...list, value];
}

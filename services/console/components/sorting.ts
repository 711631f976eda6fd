import type { Column, Sorting } from './table.ts';

/** The order that the query chooses; the fallback if the table cannot be sorted by the named column. */
export function sortingOf<Name extends string>(
  query: Readonly<Record<string, string | undefined>>,
  names: readonly Name[],
  fallback: Sorting<Name>,
): Sorting<Name> {
  const by = names.find((name) => name === query['sort']);
  return by === undefined ? fallback : { by, descending: query['order'] !== 'asc' };
}

/** The rows in the order of a column. Rows without a value are last, in either direction. */
export function sortRows<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { by, descending }: Sorting,
): readonly Row[] {
  const value = columns.find(({ sort }) => sort === by)?.value;
  if (value === undefined) return rows;
  const sign = descending ? -1 : 1;
  return rows.toSorted((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    return a < b ? -sign : a > b ? sign : 0;
  });
}

/** Names of the columns by which the table can be sorted. */
export function sortNames<Row>(columns: readonly Column<Row>[]): readonly string[] {
  return columns.flatMap(({ sort }) => (sort === undefined ? [] : [sort]));
}

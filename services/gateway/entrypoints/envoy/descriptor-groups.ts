/** Values of the keys of a descriptor. */
export type Values = ReadonlyMap<string, string>;

/** Descriptors of one request. */
export interface Group {
  readonly values: Map<string, string>;
  /** Hits, their sign (charge or return) and limit, which must be equal in all descriptors of one request. */
  readonly terms: Terms;
  /** Indexes of the descriptors in the call. */
  readonly indexes: number[];
  /** Set if the descriptors have a quantity. Each of them has hits of its own. */
  readonly usage: UsageHits | null;
}

export interface Terms {
  readonly hits: number | null;
  readonly returns: boolean;
  readonly limit: number | null;
  readonly windowMs: number;
}

export interface UsageHits {
  /** Hits by name of a quantity, in its smallest units, or by name of a measure. */
  readonly hits: Map<string, number>;
  /** Name of the quantity or measure of each descriptor, by the index of the descriptor. */
  readonly nameOf: Map<number, string>;
}

/** Adds a descriptor without a quantity to the group of its request. */
export function addToGroups(groups: Group[], index: number, values: Values, terms: Terms): void {
  const group = groups.find((candidate) => describesSame(candidate, values, terms));
  if (group === undefined) groups.push({ values: new Map(values), terms, indexes: [index], usage: null });
  else addDescriptor(group, index, values);
}

function describesSame(group: Group, values: Values, terms: Terms): boolean {
  const { hits, returns, limit, windowMs } = group.terms;
  if (group.usage !== null || hits !== terms.hits || returns !== terms.returns) return false;
  if (limit !== terms.limit || windowMs !== terms.windowMs) return false;
  return agrees(group, values);
}

/** Returns true if no key has different values in the group and in `values`. */
export function agrees(group: Pick<Group, 'values'>, values: Values): boolean {
  return [...values].every(([key, value]) => (group.values.get(key) ?? value) === value);
}

export function addDescriptor(group: Group, index: number, values: Values): void {
  for (const [key, value] of values) group.values.set(key, value);
  group.indexes.push(index);
}

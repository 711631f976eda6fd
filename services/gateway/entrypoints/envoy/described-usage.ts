import { addDescriptor, agrees } from './descriptor-groups.ts';
import type { Group, Terms, UsageHits, Values } from './descriptor-groups.ts';

/** Usage of a call, or with hits of 0 only a check before the call. */
export interface DescribedUsage extends UsageHits {
  /** Model from which the cost is computed. */
  readonly model: string | null;
  /** Id of the call, which joins its check and its usage. Null: they are independent of each other. */
  readonly requestId: string | null;
}

const modelLengthMax = 128;
const requestIdForm = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/;

/**
 * Adds a descriptor with a quantity to the group of its call. Returns a sentence that describes a violation, or null.
 * Absent hits are a violation and not a check: Envoy omits them if it is configured in another place, and no usage would
 * be recorded.
 */
export function addUsage(
  groups: Group[],
  index: number,
  values: Values,
  { hits, returns, limit }: Terms,
): string | null {
  if (returns) return 'Hits of a quantity cannot be negative: report the actual usage of the call';
  if (limit !== null) return 'A descriptor with a quantity cannot have a limit: define it in the policy';
  if (hits === null) return 'A descriptor with a quantity must have hits_addend: 0 before the call';
  const own = new Map(values);
  const name = own.get('quantity') ?? '';
  own.delete('quantity');
  const existing = groups.find(
    (group) => group.usage !== null && agrees(group, own) && (group.usage.hits.get(name) ?? hits) === hits,
  );
  const group = existing ?? newGroup();
  if (existing === undefined) groups.push(group);
  addDescriptor(group, index, own);
  group.usage?.hits.set(name, hits);
  group.usage?.nameOf.set(index, name);
  return null;
}

function newGroup(): Group {
  const terms = { hits: null, returns: false, limit: null, windowMs: 0 };
  return { values: new Map(), terms, indexes: [], usage: { hits: new Map(), nameOf: new Map() } };
}

/**
 * Joins descriptors without a quantity to the usage with the same `request_id`: they state the units of this call, which
 * is then decided once and has one event.
 */
export function joinUnits(groups: readonly Group[]): readonly Group[] {
  const joined = new Set<Group>();
  const result = groups.map((group): Group => {
    const id = group.values.get('request_id');
    if (group.usage === null || id === undefined) return group;
    const units = groups.find((other) => other.values.get('request_id') === id && statesUnits(group, other));
    if (units === undefined) return group;
    joined.add(units);
    return {
      values: new Map([...units.values, ...group.values]),
      terms: { ...units.terms, hits: units.terms.hits === 0 ? null : units.terms.hits },
      indexes: [...group.indexes, ...units.indexes],
      usage: group.usage,
    };
  });
  return result.filter((group) => !joined.has(group));
}

function statesUnits(group: Group, { usage, values, terms }: Group): boolean {
  return usage === null && !terms.returns && terms.limit === null && agrees(group, values);
}

/** Returns a sentence that describes a violation of a usage, or null. */
export function problemOfUsage({ values, usage }: Group): string | null {
  if (usage === null) return null;
  const model = values.get('model') ?? '';
  if (model.length > modelLengthMax) return `model may have ${modelLengthMax} characters`;
  const id = values.get('request_id');
  if (id === undefined) return null;
  if (!requestIdForm.test(id)) return 'request_id may have 128 letters, digits and _.:-';
  return values.has('tenant_id') ? null : 'A descriptor with request_id must name the tenant_id';
}

import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Attributes } from '../../domain/limit.ts';
import type { BaseKind, SubjectKind } from './windows.ts';

/** Names the counters of attributes: one for each combination of values of a tenant, user or address. */
export interface AttributeSubjects {
  /** The base of a kind with attributes, and the names of its attributes. */
  partsOf(kind: SubjectKind): { readonly base: BaseKind; readonly names: readonly string[] };
  /** Part of the key that stands for the values of the attributes. Clients choose values, so the part is a hash. */
  suffixOf(names: readonly string[], values: readonly string[]): string;
  /**
   * The values of these attributes. All values beyond the bounds become the same text. `tenantKey` is the key of the tenant, or of
   * the address of a caller without a tenant.
   */
  valuesOf(
    tenantKey: string,
    names: readonly string[],
    attributes: Attributes | undefined,
  ): readonly string[];
}

/** Most values of an attribute that this node counts apart for a tenant (or an address), within an hour. */
export const attributeValuesMax = 1_000;
/** Longest value that is counted apart, in UTF-16 code units. */
export const attributeLengthMax = 256;
/** Stands for all values beyond the bounds. No other value equals it, because it is longer than they may be. */
const others = `${'.'.repeat(attributeLengthMax)}others`;
const ownersMax = 10_000;
const hourMs = 3_600_000;

export function createAttributeSubjects(): AttributeSubjects {
  const kinds = new Map<SubjectKind, { base: BaseKind; names: readonly string[] }>();
  const seen = new LRUCache<string, Set<string>>({ max: ownersMax, ttl: hourMs });
  return {
    partsOf: (kind) => {
      let parts = kinds.get(kind);
      if (parts === undefined) {
        const [base = '', names = ''] = kind.split('+');
        kinds.set(kind, (parts = { base: base as BaseKind, names: names.split(',') }));
      }
      return parts;
    },
    suffixOf: (names, values) =>
      `:t:${hash('sha256', JSON.stringify([names, values]), 'base64url').slice(0, 27)}`,
    valuesOf: (tenantKey, names, attributes) =>
      names.map((name) => bounded(tenantKey, name, attributes?.[name] ?? '')),
  };

  function bounded(tenantKey: string, name: string, value: string): string {
    if (value.length > attributeLengthMax) return others;
    const place = `${name}\n${tenantKey}`;
    let values = seen.get(place);
    if (values === undefined) seen.set(place, (values = new Set()));
    if (values.has(value)) return value;
    if (values.size >= attributeValuesMax) return others;
    values.add(value);
    return value;
  }
}

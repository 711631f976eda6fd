import { attributeNames } from '../../domain/limit.ts';
import type { CalendarPeriod, Limit } from '../../domain/limit.ts';
import { amountMax, requestsName } from '../../domain/usage/quantity.ts';
import { windowField } from '../keys.ts';

/**
 * Limits of up to this many units (and up to twice as many including the burst) are counted exactly, with one entry per
 * millisecond.
 */
export const exactUnitsMax = 1000;
/**
 * Approximate number of entries to which the units of a larger limit are merged: a refusal lasts at most window ÷ 64 too long.
 */
const entriesPerWindow = 64;
/** Maximum of a sliding window's limit and burst together: `sliding.lua` packs sums into five bytes. */
const slidingUnitsMax = 2 ** 40 - 1;

/**
 * Kind of the subject whose hash holds a window. Subjects of kind `tenantAddress` and `userAddress` are in the tenant's slot; an
 * `address` has a slot of its own.
 */
export type BaseKind = 'tenant' | 'user' | 'address' | 'tenantAddress' | 'userAddress' | 'global' | 'group';

/** A base, or a base with the names of attributes: the subject is then one combination of their values. */
export type SubjectKind = BaseKind | `${BaseKind}+${string}`;

/** A limit in the form that the scripts use. */
export interface Window {
  readonly limit: Limit;
  /** Name of the window's field in the subject's hash. */
  readonly field: string;
  readonly units: number;
  readonly burst: number;
  readonly spanMs: number;
  /** Milliseconds within which units are merged into one entry; 0 merges only units of the same millisecond. */
  readonly grainMs: number;
  readonly period: CalendarPeriod | null;
  readonly shadow: boolean;
}

/** The compiled form of a list of limits: their windows, and the kinds of subjects that the windows belong to. */
export interface Shape {
  readonly windows: readonly Window[];
  readonly subjects: readonly SubjectKind[];
  /** For each window, the index of its kind in `subjects`. */
  readonly subjectOf: readonly number[];
  /**
   * For each window, the time zone of its calendar periods. A counter that tenants share is in UTC, because tenants have
   * different time zones.
   */
  readonly timeZones: readonly string[];
  /** The names of the quantities that the windows count. The first is always `requests`. */
  readonly quantities: readonly string[];
  /** For each window, the index of its quantity in `quantities`. */
  readonly quantityOf: readonly number[];
}

const windows = new WeakMap<Limit, Window>();
const shapes = new WeakMap<readonly Limit[], Map<string, Shape>>();
const zonesMax = 500;

export function windowOf(limit: Limit): Window {
  const cached = windows.get(limit);
  if (cached !== undefined) return cached;
  const unitsMax = limit.type === 'sliding' ? slidingUnitsMax : amountMax;
  const units = Math.min(Math.max(0, Math.floor(limit.limit)), unitsMax);
  const burst =
    limit.type === 'sliding' ? Math.min(Math.max(0, Math.floor(limit.burst)), unitsMax - units) : 0;
  const exact = units <= exactUnitsMax && units + burst <= 2 * exactUnitsMax;
  const span = limit.type === 'quota' ? (limit.period ?? 'day') : String(limit.windowMs);
  const window = {
    limit,
    field: windowField(limit.name, span, limit.route),
    units,
    burst,
    spanMs: limit.windowMs,
    grainMs: exact ? 0 : Math.floor(limit.windowMs / entriesPerWindow),
    period: limit.type === 'quota' ? (limit.period ?? 'day') : null,
    shadow: limit.mode === 'shadow',
  };
  windows.set(limit, window);
  return window;
}

/**
 * Returns the shape of a list of limits. It is compiled once for each array, kind of caller (with or without tenant and user) and
 * time zone. The array object is the cache key, so pass the same object for the same plan and route. `concurrent` limits are left
 * out, because they are counted as leases.
 */
export function shapeOf(
  limits: readonly Limit[],
  hasTenant: boolean,
  hasUser: boolean,
  timeZone: string,
): Shape {
  const variant = (hasTenant ? 't' : '') + (hasUser ? 'u' : '') + timeZone;
  let variants = shapes.get(limits);
  if (variants === undefined) shapes.set(limits, (variants = new Map<string, Shape>()));
  const cached = variants.get(variant);
  if (cached !== undefined) return cached;
  if (variants.size >= zonesMax) variants.clear();
  const shape = compile(limits, hasTenant, hasUser, timeZone);
  variants.set(variant, shape);
  return shape;
}

function compile(limits: readonly Limit[], hasTenant: boolean, hasUser: boolean, timeZone: string): Shape {
  const subjects: SubjectKind[] = [];
  const subjectOf: number[] = [];
  const counted: Window[] = [];
  const timeZones: string[] = [];
  const quantities: string[] = [requestsName];
  const quantityOf: number[] = [];
  const used = new Set<string>();
  for (const limit of limits) {
    if (limit.type === 'concurrent') continue;
    const kind = subjectKind(limit, hasTenant, hasUser);
    if (!subjects.includes(kind)) subjects.push(kind);
    if (!quantities.includes(limit.of)) quantities.push(limit.of);
    // If two limits of the list had the same window, the script would read it twice before charging it, and one charge would be
    // lost. The second limit gets a field of its own.
    let window = windowOf(limit);
    while (used.has(`${kind} ${window.field}`)) window = { ...window, field: `${window.field}+` };
    used.add(`${kind} ${window.field}`);
    subjectOf.push(subjects.indexOf(kind));
    quantityOf.push(quantities.indexOf(limit.of));
    counted.push(window);
    timeZones.push(isShared(kind) ? 'UTC' : timeZone);
  }
  return { windows: counted, subjects, subjectOf, timeZones, quantities, quantityOf };
}

/** Whether tenants of different time zones share the counters of this kind. */
function isShared(kind: SubjectKind): boolean {
  return kind.startsWith('address') || kind === 'global' || kind === 'group';
}

/** Returns the kind of subject that a limit counts, with the attributes of the limit. */
export function subjectKind(limit: Limit, hasTenant: boolean, hasUser: boolean): SubjectKind {
  const base = baseKind(limit, hasTenant, hasUser);
  const names = attributeNames(limit);
  return names.length === 0 ? base : `${base}+${names.join(',')}`;
}

/**
 * Returns the kind of subject that a limit counts. If a limit is per user and the caller has no user, or per tenant and
 * the caller has no tenant, the caller's address is counted instead. Attributes without any of these are counted for each tenant.
 */
export function baseKind({ per }: Limit, hasTenant: boolean, hasUser: boolean): BaseKind {
  if (per.includes('group')) return 'group';
  const wantsUser = per.includes('user');
  const hasBase = per.includes('ip') || per.includes('global');
  const wantsTenant = per.includes('tenant') || (!wantsUser && !hasBase);
  if (!wantsUser && !wantsTenant) return per.includes('ip') ? 'address' : 'global';
  if (wantsUser && hasUser) return per.includes('ip') ? 'userAddress' : 'user';
  if (!hasTenant) return 'address';
  return per.includes('ip') || wantsUser ? 'tenantAddress' : 'tenant';
}

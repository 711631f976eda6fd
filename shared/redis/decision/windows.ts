import type { CalendarPeriod, Limit } from '../../domain/limit.ts';
import { windowField } from '../keys.ts';

/** Limits up to this many units (with their burst twice as many) are counted exactly, one entry a millisecond. */
export const exactUnitsMax = 1000;
/** For larger limits entries are merged to about this many: a refusal lasts at most window ÷ 64 too long. */
const entriesPerWindow = 64;

/** The kind of subject whose hash holds a window. `tenantAddress` and `userAddress` are in the tenant's slot, `address` in its own. */
export type SubjectKind = 'tenant' | 'user' | 'address' | 'tenantAddress' | 'userAddress' | 'global';

/** A limit in the form that the scripts use. */
export interface Window {
  readonly limit: Limit;
  /** Its field in the subject's hash. */
  readonly field: string;
  readonly units: number;
  readonly burst: number;
  readonly spanMs: number;
  /** Units that arrive within this time share an entry; 0: only units of the same millisecond. */
  readonly grainMs: number;
  readonly period: CalendarPeriod | null;
  readonly shadow: boolean;
}

/** The windows of a list of limits for one kind of caller, with the subjects they belong to. */
export interface Shape {
  readonly windows: readonly Window[];
  readonly subjects: readonly SubjectKind[];
  /** For each window, the index of its subject. */
  readonly subjectOf: readonly number[];
  /** For each window, the time zone of its calendar periods. Counters that tenants share are in UTC, since tenants have different zones. */
  readonly timeZones: readonly string[];
}

const windows = new WeakMap<Limit, Window>();
const shapes = new WeakMap<readonly Limit[], Map<string, Shape>>();
const zonesMax = 500;

export function windowOf(limit: Limit): Window {
  const cached = windows.get(limit);
  if (cached !== undefined) return cached;
  const units = Math.max(0, Math.floor(limit.limit));
  const burst = limit.type === 'sliding' ? Math.max(0, Math.floor(limit.burst)) : 0;
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
 * The shape of a list of limits, compiled once per list, kind of caller and time zone. The cache is keyed by the identity of the
 * array: pass the same array for the same plan and route. `concurrent` limits are left out: they are leases.
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
  const used = new Set<string>();
  for (const limit of limits) {
    if (limit.type === 'concurrent') continue;
    const kind = subjectKind(limit, hasTenant, hasUser);
    if (!subjects.includes(kind)) subjects.push(kind);
    // One window twice in a list would be read twice before it is charged: the second gets a field of its own.
    let window = windowOf(limit);
    while (used.has(`${kind} ${window.field}`)) window = { ...window, field: `${window.field}+` };
    used.add(`${kind} ${window.field}`);
    subjectOf.push(subjects.indexOf(kind));
    counted.push(window);
    timeZones.push(kind === 'address' || kind === 'global' ? 'UTC' : timeZone);
  }
  return { windows: counted, subjects, subjectOf, timeZones };
}

/** A part of the identity that the caller does not have is replaced by the address. */
export function subjectKind({ per }: Limit, hasTenant: boolean, hasUser: boolean): SubjectKind {
  const wantsUser = per.includes('user');
  const wantsTenant = per.includes('tenant');
  if (!wantsUser && !wantsTenant) return per.includes('ip') ? 'address' : 'global';
  if (wantsUser && hasUser) return per.includes('ip') ? 'userAddress' : 'user';
  if (!hasTenant) return 'address';
  return per.includes('ip') || wantsUser ? 'tenantAddress' : 'tenant';
}

import type { CalendarPeriod, Limit } from '../../domain/limit.ts';
import { windowField } from '../keys.ts';

/** Limits up to this many units (their burst included: twice as many) are counted exactly, one entry a millisecond. */
export const exactUnitsMax = 1000;
/** Above, the entries of a window are merged so that there are about this many: a refusal errs by W/64 at most. */
const entriesPerWindow = 64;

/** Whose hash a window lives in. `tenantAddress` and `userAddress` stand in the tenant's slot, `address` in its own. */
export type SubjectKind = 'tenant' | 'user' | 'address' | 'tenantAddress' | 'userAddress' | 'global';

/** A limit as the script takes it. */
export interface Window {
  readonly limit: Limit;
  readonly field: string;
  readonly units: number;
  readonly burst: number;
  readonly spanMs: number;
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
  /** For each window, the zone of its calendar periods. Counters that tenants share are in UTC: their zones differ. */
  readonly timeZones: readonly string[];
}

const windows = new WeakMap<Limit, Window>();
const shapes = new WeakMap<readonly Limit[], Map<string, Shape>>();
const zonesMax = 500;

export function windowOf(limit: Limit): Window {
  const known = windows.get(limit);
  if (known !== undefined) return known;
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
 * Compiled once per list of limits, kind of caller and zone, and found again by the list's identity: callers that pass
 * the same array for the same plan and route pay nothing here. `concurrent` limits are left out: they are leases.
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
  const known = variants.get(variant);
  if (known !== undefined) return known;
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
  const taken = new Set<string>();
  for (const limit of limits) {
    if (limit.type === 'concurrent') continue;
    const kind = subjectKind(limit, hasTenant, hasUser);
    if (!subjects.includes(kind)) subjects.push(kind);
    // The same window twice in one list would be looked at twice before it is taken from: each gets its own.
    let window = windowOf(limit);
    while (taken.has(`${kind} ${window.field}`)) window = { ...window, field: `${window.field}+` };
    taken.add(`${kind} ${window.field}`);
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

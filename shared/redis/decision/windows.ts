import { attributeNames } from '../../domain/limit.ts';
import type { CalendarPeriod, Limit, LimitState } from '../../domain/limit.ts';
import { calendarOfCounter } from '../../domain/quota.ts';
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
/** Longest life of a lease: so long may another node use units after a reset or a change of limits. `clock.lua` has this number plus 1. */
const leaseMsMax = 250;
/** A shorter lease would end before it has saved a call. */
const leaseMsMin = 10;
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
  readonly counts: WindowCounts;
  /** Longest life of a lease of units of this window, in milliseconds; 0: its units are not leased. */
  readonly leaseMs: number;
}

/**
 * What a window counts. `charged`: the units that the limit tests. `reserved`: the part of them that open reservations hold; this
 * window is charged exactly when the window before it is. `total`: the same counter as `charged`, read without a bound, so that
 * units above the limit are visible. `carried`: the period before that of the next window, whose unused units are added to its
 * limit; it is never charged itself.
 */
export type WindowCounts = 'charged' | 'reserved' | 'total' | 'carried';

/**
 * Which windows a check needs. `limits`: one for each limit. `reserve`: also the reserved part of each limit of amounts. `use`: to
 * read without a charge, the total and the reserved part of each limit.
 */
export type ShapeContents = 'limits' | 'reserve' | 'use';

/** The compiled form of a list of limits: their windows, and the kinds of subjects that the windows belong to. */
export interface Shape {
  readonly windows: readonly Window[];
  readonly subjects: readonly SubjectKind[];
  /** For each window, the index of its kind in `subjects`. */
  readonly subjectOf: readonly number[];
  /**
   * For each window, the calendar of its periods. A counter that tenants share is in UTC, because tenants have different
   * calendars.
   */
  readonly calendars: readonly string[];
  /** The names of the quantities that the windows count. The first is always `requests`. */
  readonly quantities: readonly string[];
  /** For each window, the index of its quantity in `quantities`. */
  readonly quantityOf: readonly number[];
  /** Life of a lease of units of all windows, in milliseconds; 0: checks of this shape are not decided from leases. */
  readonly leaseMs: number;
  /** True if each window is the window of one limit; otherwise `limitStates` combines the states of the windows. */
  readonly isOfLimits: boolean;
}

const windows = new WeakMap<Limit, Window>();
const shapes = new WeakMap<readonly Limit[], Map<string, Shape>>();
const calendarsMax = 500;

export function windowOf(limit: Limit): Window {
  const cached = windows.get(limit);
  if (cached !== undefined) return cached;
  const unitsMax = limit.type === 'sliding' ? slidingUnitsMax : amountMax;
  const units = Math.min(Math.max(0, Math.floor(limit.limit)), unitsMax);
  const burst =
    limit.type === 'sliding' ? Math.min(Math.max(0, Math.floor(limit.burst)), unitsMax - units) : 0;
  const exact = units <= exactUnitsMax && units + burst <= 2 * exactUnitsMax;
  const span = limit.type === 'quota' ? (limit.period ?? 'day') : String(limit.windowMs);
  const window: Window = {
    limit,
    field: windowField(limit.name, span, limit.route),
    units,
    burst,
    spanMs: limit.windowMs,
    grainMs: exact ? 0 : Math.floor(limit.windowMs / entriesPerWindow),
    period: limit.type === 'quota' ? (limit.period ?? 'day') : null,
    shadow: limit.mode === 'shadow',
    counts: 'charged',
    leaseMs: leaseMsOf(limit, exact, burst),
  };
  windows.set(limit, window);
  return window;
}

/**
 * A lease lives at most one grain, so its units delay the expiry of others no longer than the grain does. A burst depends on the
 * moment at which units are used, so it is not leased; exact windows count every unit at its own time.
 */
function leaseMsOf(limit: Limit, exact: boolean, burst: number): number {
  if (exact || burst > 0 || limit.lease === false || limit.of !== requestsName) return 0;
  if (limit.type === 'quota') return leaseMsMax;
  const lifeMs = Math.min(leaseMsMax, Math.floor(limit.windowMs / entriesPerWindow));
  return lifeMs < leaseMsMin ? 0 : lifeMs;
}

/**
 * Returns the shape of a list of limits. It is compiled once for each array, kind of caller (with or without tenant and user) and
 * calendar. The array object is the cache key, so pass the same object for the same plan and route. `concurrent` limits are left
 * out, because they are counted as leases.
 */
export function shapeOf(
  limits: readonly Limit[],
  hasTenant: boolean,
  hasUser: boolean,
  calendar: string,
  contents: ShapeContents = 'limits',
): Shape {
  const kind = contents === 'limits' ? '' : contents;
  const variant = kind + (hasTenant ? 't' : '') + (hasUser ? 'u' : '') + calendar;
  let variants = shapes.get(limits);
  if (variants === undefined) shapes.set(limits, (variants = new Map<string, Shape>()));
  const cached = variants.get(variant);
  if (cached !== undefined) return cached;
  if (variants.size >= calendarsMax) variants.clear();
  const shape = compile(limits, hasTenant, hasUser, calendar, contents);
  variants.set(variant, shape);
  return shape;
}

function compile(
  limits: readonly Limit[],
  hasTenant: boolean,
  hasUser: boolean,
  calendar: string,
  contents: ShapeContents,
): Shape {
  const subjects: SubjectKind[] = [];
  const subjectOf: number[] = [];
  const counted: Window[] = [];
  const calendars: string[] = [];
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
    for (const one of [...carriedWindow(window), window, ...windowsBeside(window, contents)]) {
      subjectOf.push(subjects.indexOf(kind));
      quantityOf.push(quantities.indexOf(limit.of));
      counted.push(one);
      calendars.push(calendarOfCounter(limit, isShared(kind) ? null : calendar) ?? 'UTC');
    }
  }
  const isOfLimits = counted.every(({ counts }) => counts === 'charged');
  // A lease is of one subject, because the subjects of a check differ from request to request. Carried units are decided by Redis.
  const isLeased = contents === 'limits' && isOfLimits && subjects.length === 1 && quantities.length === 1;
  const leaseMs = isLeased ? Math.min(...counted.map((window) => window.leaseMs)) : 0;
  return { windows: counted, subjects, subjectOf, calendars, quantities, quantityOf, isOfLimits, leaseMs };
}

/** Returns the window of the carried units, which precedes the window of its limit; none if the limit carries nothing over. */
function carriedWindow(window: Window): readonly Window[] {
  const { carryOver } = window.limit;
  if (carryOver === undefined || window.period === null) return [];
  const units = Math.min(carryOver.base, amountMax);
  const burst = Math.min(carryOver.most, amountMax - window.units);
  return [{ ...window, field: carriedField(window.field), units, burst, shadow: false, counts: 'carried' }];
}

/** Field of the used units of a quota's previous period. */
export function carriedField(field: string): string {
  return `${field}/before`;
}

/** Returns the windows that a shape has beside the window of a limit. A limit of requests has no reserved part. */
function windowsBeside(window: Window, contents: ShapeContents): readonly Window[] {
  const units = window.period === null ? slidingUnitsMax : amountMax;
  const unbounded = { ...window, units, burst: 0, shadow: false };
  const total: Window = { ...unbounded, counts: 'total' };
  const reserved: Window = { ...unbounded, field: `${window.field}/reserved`, counts: 'reserved' };
  const ofAmounts = window.limit.of === requestsName ? [] : [reserved];
  if (contents === 'use') return [total, ...ofAmounts];
  return contents === 'reserve' ? ofAmounts : [];
}

/**
 * Returns the states of the limits of a shape. `states` has one state for each window. The states have their use if the shape reads
 * it and Redis responded: without Redis, a node has only its own part of the counters.
 */
export function limitStates(
  { windows: all }: Shape,
  states: readonly LimitState[],
  degraded: boolean,
): readonly LimitState[] {
  if (degraded) return states.filter((_, index) => all[index]?.counts === 'charged');
  const result: LimitState[] = [];
  let carried = 0;
  for (const [index, window] of all.entries()) {
    const state = states[index];
    const last = result.at(-1);
    if (state === undefined) continue;
    if (window.counts === 'carried') carried = state.remaining;
    else if (window.counts === 'charged') {
      result.push(carried === 0 ? state : { ...state, limit: state.limit + carried, carried });
      carried = 0;
    } else if (last !== undefined) result[result.length - 1] = withUse(last, window, state.remaining);
  }
  return result;
}

function withUse(state: LimitState, { counts, units }: Window, remaining: number): LimitState {
  if (counts === 'total') return { ...state, use: { used: units - remaining, reserved: 0 } };
  if (state.use === undefined) return state;
  // Units leave a window in groups, so the reserved part may leave it a moment later than the units of the limit.
  const reserved = Math.min(units - remaining, state.use.used);
  return { ...state, use: { used: state.use.used - reserved, reserved } };
}

/** Whether tenants with different calendars share the counters of this kind. */
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

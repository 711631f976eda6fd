import { calendarPeriod, durationMs } from '../../../domain/time/duration.ts';
import {
  amountMax,
  amountText,
  minorUnits,
  requestsName,
  slidingSumMax,
} from '../../../domain/usage/quantity.ts';
import type { Quantity } from '../../../domain/usage/quantity.ts';
import { attributeNames } from '../../../domain/limit.ts';
import type { AttributeSource } from '../../../domain/policy.ts';
import type { FieldPath, Violations } from '../violations.ts';
import type { LimitFile } from './limit-file.ts';

/** Definitions of the policy to which limits refer. */
export interface Definitions {
  readonly quantities: ReadonlyMap<string, Quantity>;
  readonly attributes: ReadonlyMap<string, AttributeSource>;
}

/**
 * Names that a limit must not have: other values of `limited_by` in events, and names of limits that the gateway
 * adds.
 */
const reservedNames = new Set([
  'blocked',
  'unauthenticated',
  'out_of_scope',
  'unavailable',
  'invalid',
  'cost_too_high',
  'limit',
  'preflight',
]);
const shortestWindowMs = 1_000;
const longestWindowMs = 366 * 86_400_000;
/** Redis stores the debt of a burst pool, in units times ten windows, in 8 bytes. */
const burstDebtMax = 2 ** 62;
/** Units of calls have no decimals. */
const requests: Quantity = { name: requestsName, decimals: 0, kind: 'requests', measures: [] };

export function checkLimits(
  limits: readonly LimitFile[],
  { quantities, attributes }: Definitions,
  at: FieldPath,
  violations: Violations,
): void {
  const seen = new Set<string>();
  for (const [index, limit] of limits.entries()) {
    const here = [...at, index];
    if (reservedNames.has(limit.name))
      violations.add([...here, 'name'], `"${limit.name}" is reserved; choose another name`);
    if (seen.has(limit.name)) {
      violations.add(
        [...here, 'name'],
        `"${limit.name}" is in this list twice; names are unique within a plan or route`,
      );
    }
    seen.add(limit.name);
    if (Array.isArray(limit.per) && limit.per.length > 1 && limit.per.includes('group'))
      violations.add([...here, 'per'], 'may not combine group with others; write a limit for each');
    if (limit.type === 'concurrent' && [limit.per].flat().includes('group'))
      violations.add([...here, 'per'], 'may not be group with type concurrent; write tenant');
    if (Array.isArray(limit.per) && limit.per.length > 1 && limit.per.includes('global')) {
      violations.add(
        [...here, 'per'],
        'may not combine global with others: global already counts all callers together',
      );
    }
    checkPer(limit, attributes, here, violations);
    checkWindow(limit, here, violations);
    checkBillingDay(limit, here, violations);
    checkCarryOver(limit, here, violations);
    checkQuantity(limit, quantities, here, violations);
  }
}

/** Limits of a group count the group and not its tenants. No limit of a plan or route has the same name. */
export function checkGroup(
  limits: readonly LimitFile[],
  others: readonly LimitFile[],
  at: FieldPath,
  violations: Violations,
): void {
  for (const [index, { name, per, by_plan: byPlan }] of limits.entries()) {
    const here = [...at, index];
    if ([per].flat().join() !== 'group')
      violations.add([...here, 'per'], 'must be group: the tenants of the group are counted together');
    if (byPlan !== undefined) violations.add([...here, 'by_plan'], 'belongs on a route', 'key');
    if (others.some((other) => other.name === name))
      violations.add([...here, 'name'], `"${name}" is also a limit of a plan or route; give it another name`);
  }
}

/** Callers are counted by words that every policy has, or by attributes that it defines. */
function checkPer(
  { per, type }: LimitFile,
  attributes: Definitions['attributes'],
  at: FieldPath,
  violations: Violations,
): void {
  for (const word of attributeNames({ per: [per].flat() })) {
    if (!attributes.has(word)) {
      const names = ['tenant', 'user', 'ip', 'global', 'group', ...attributes.keys()].join(', ');
      violations.add(
        [...at, 'per'],
        `is "${word}", but must be whose usage is counted: ${names}; define others under "attributes"`,
      );
    } else if (type === 'concurrent') {
      violations.add(
        [...at, 'per'],
        `has "${word}", which is not allowed with type concurrent; write tenant, user, ip or global`,
      );
    }
  }
}

function checkWindow(limit: LimitFile, at: FieldPath, violations: Violations): void {
  const { window, type = 'sliding' } = limit;
  if (type !== 'sliding' && (limit.burst ?? 0) > 0) {
    violations.add([...at, 'burst'], `is allowed with type sliding, not ${type}`);
  }
  if (type === 'concurrent') {
    if (window !== undefined)
      violations.add([...at, 'window'], 'is not allowed with type concurrent, which has no window');
    return;
  }
  if (window === undefined) {
    violations.add([...at, 'window'], 'is missing; write how long the limit counts, e.g. 1m');
    return;
  }
  if (type === 'quota' && calendarPeriod(window) === null) {
    violations.add(
      [...at, 'window'],
      `"${window}" is no calendar period; the window of a quota is 1h, 1d, 1w or 1mo`,
    );
  }
  if (!isInRange(window)) violations.add([...at, 'window'], outOfRange(window));
}

function checkBillingDay(
  { billing_day: day, type, window = '' }: LimitFile,
  at: FieldPath,
  violations: Violations,
): void {
  if (day !== undefined && (type !== 'quota' || calendarPeriod(window) !== 'month'))
    violations.add(
      [...at, 'billing_day'],
      'is allowed with type quota and window 1mo only; other periods do not begin on a day of the month',
      'key',
    );
}

/** Only quotas of whole tenants can be restored from ClickHouse, also their previous period. */
function checkCarryOver(
  { carry_over: carryOver, type, per }: LimitFile,
  at: FieldPath,
  violations: Violations,
): void {
  if (carryOver !== undefined && (type !== 'quota' || [per].flat().join() !== 'tenant'))
    violations.add(
      [...at, 'carry_over'],
      'is allowed with type quota and per: tenant only; unused units belong to a tenant and a calendar period',
      'key',
    );
}

export function isInRange(window: string): boolean {
  const spanMs = durationMs(window) ?? 0;
  return spanMs >= shortestWindowMs && spanMs <= longestWindowMs;
}

export function outOfRange(window: string): string {
  return `"${window}" is out of range; windows last from 1s to 366d`;
}

/** The quantity exists, and the amounts have no more decimals than it has and fit the numbers that Redis stores. */
function checkQuantity(
  limit: LimitFile,
  quantities: Definitions['quantities'],
  at: FieldPath,
  violations: Violations,
): void {
  const { of = requestsName, type = 'sliding' } = limit;
  const quantity = of === requestsName ? requests : quantities.get(of);
  if (quantity === undefined) {
    const names = [requestsName, ...quantities.keys()].join(', ');
    violations.add(
      [...at, 'of'],
      `"${of}" is not one of the quantities: ${names}; define it under the key "quantities"`,
    );
    return;
  }
  if (type === 'concurrent' && of !== requestsName) {
    violations.add([...at, 'of'], 'is not allowed with type concurrent, which counts requests in progress');
  }
  const burst = checkAmount(limit.burst ?? 0, quantity, [...at, 'burst'], violations) ?? 0;
  const amounts = [
    { value: limit.limit, path: [...at, 'limit'] },
    ...(typeof limit.carry_over === 'object'
      ? [{ value: limit.carry_over.limit, path: [...at, 'carry_over', 'limit'] }]
      : []),
    ...Object.entries(limit.by_plan ?? {}).map(([plan, value]) => ({
      value,
      path: [...at, 'by_plan', plan],
    })),
  ];
  for (const { value, path } of amounts) {
    const minor = checkAmount(value, quantity, path, violations);
    if (type === 'sliding' && minor !== null && minor + burst > slidingSumMax) {
      const most = `${amountText(quantity, slidingSumMax)} ${quantity.name}`;
      violations.add(path, `is too large: limit and burst of a sliding window are at most ${most} together`);
    }
  }
  if (burst * (durationMs(limit.window ?? '') ?? 0) * 10 > burstDebtMax) {
    violations.add([...at, 'burst'], 'is too large for the window; lower one of the two');
  }
}

/** The amount in smallest units; null if it is not valid. */
function checkAmount(
  value: number,
  quantity: Quantity,
  at: FieldPath,
  violations: Violations,
): number | null {
  const minor = minorUnits(quantity, value);
  if (minor !== null) return minor;
  const { name, decimals } = quantity;
  if (value > Number(amountText(quantity, amountMax))) {
    violations.add(at, `is too large: the largest amount is ${amountText(quantity, amountMax)} ${name}`);
  } else if (decimals === 0) {
    violations.add(
      at,
      `is ${value}, but must be a whole number of ${name === requestsName ? 'units' : name}`,
    );
  } else {
    violations.add(
      at,
      `is ${value}, but ${name} has ${decimals} decimals; round it, or raise "decimals" of the quantity`,
    );
  }
  return null;
}

import type { RecordedEvent } from '../../clickhouse/queries/recorded/recorded-events.ts';
import type { ExactAmounts } from '../../domain/events/call-usage.ts';
import { costOf, noPrice, statedMoney } from '../../domain/money.ts';
import type { Money } from '../../domain/money.ts';
import type { Policy, Route } from '../../domain/policy.ts';
import { amountMax, requestsName, smallestUnits } from '../../domain/usage/quantity.ts';
import type { Shape } from '../../redis/decision/windows.ts';
import type { ChargedCounter } from './check-windows.ts';

/**
 * Units that a request costs on a route of another policy. A cost that the caller stated stays the same. A request without units
 * bypassed the limits, or its units were given back after the response: then its cost is that of the route.
 */
export function unitsUnder(
  { units, entrypoint }: RecordedEvent,
  route: Route | null,
  recordedRoute: Route | null,
): number {
  if (units < 1 || units === (recordedRoute?.cost ?? 1)) return route?.cost ?? 1;
  if (entrypoint === 'websocket' && units === recordedRoute?.messageCost) return route?.messageCost ?? units;
  return units;
}

/**
 * Cost of a request that has `units` on a route of another policy: the units at the price of this route, and the recorded cost
 * of the usage of the call.
 */
export function costUnder(
  event: RecordedEvent,
  units: number,
  route: Route | null,
  recordedRoute: Route | null,
): Money {
  const ofUnits = unitCost(event.units, recordedRoute);
  const ofUsage = event.cost > ofUnits ? event.cost - ofUnits : 0n;
  return unitCost(units, route) + ofUsage;
}

function unitCost(units: number, route: Route | null): Money {
  const price = route?.unitPrice ?? noPrice;
  return price.digits === 0 ? 0n : (statedMoney(costOf(units, price)) ?? 0n);
}

/** What a request charges when it is decided, by index of the quantities of the shape: its units and its reserved amounts. */
export function amountsNow(
  event: Pick<RecordedEvent, 'reserved'>,
  { quantities }: Shape,
  policy: Policy,
  units: number,
): number[] {
  return quantities.map((name) => (name === requestsName ? units : unitsOf(event.reserved, name, policy)));
}

/** Settles a charge of a reservation: all of it is returned, or reserved amounts are replaced by used ones. */
export function settleCharge(
  { counter, quantity, amount, atMs }: ChargedCounter,
  isGivenBack: boolean,
  event: RecordedEvent,
  policy: Policy,
  nowMs: number,
): void {
  if (quantity === requestsName && !isGivenBack) return;
  const used = isGivenBack ? 0 : unitsOf(event.quantities, quantity, policy);
  if (used < amount) counter.returnUnits(amount - used, atMs);
  else if (used > amount) counter.charge(used - amount, nowMs, nowMs);
}

/** An amount in smallest units of its quantity, rounded up; 0 if the policy does not define the quantity. */
function unitsOf(amounts: ExactAmounts | null, name: string, { quantities }: Policy): number {
  const amount = amounts?.[name] ?? 0n;
  const quantity = quantities.get(name);
  if (amount <= 0n || quantity === undefined) return 0;
  return Math.min(amountMax, smallestUnits(amount, quantity));
}

import type { Policy } from '../../../../shared/domain/policy.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import type { Verdict } from '../../enforcer/verdict.ts';
import { readDetails } from '../../reservations/reserved-call.ts';
import type { Reserve } from '../../reservations/reserved-call.ts';
import { readStatedUsage } from '../../reservations/stated-usage.ts';
import type { ReadUsage } from '../../reservations/stated-usage.ts';
import { reserveDefaults } from '../../../../shared/domain/usage/usage-reading.ts';
import type { ReservationToChange } from '../../reservations/call-reservations.ts';
import type { DescribedUsage } from './described-usage.ts';

/** Usage that descriptors state, with the amounts of the policy's quantities. */
export interface CallUsage {
  readonly described: DescribedUsage;
  readonly read: ReadUsage;
  /** True if a descriptor has hits: the call has ended. False: a check before the call. */
  readonly isEnd: boolean;
}

/**
 * Reads the usage of descriptors. Returns a sentence if a name is neither a quantity nor a measure of the policy, or if
 * a check names a model without a price. The usage at the end of a call is recorded without a cost if its model has no
 * price: the call has been made.
 */
export function readCallUsage(policy: Policy, described: DescribedUsage): CallUsage | string {
  const isEnd = [...described.hits.values()].some((hits) => hits > 0);
  const stated: Record<string, number> = {};
  for (const [name, hits] of described.hits) {
    const quantity = policy.quantities.get(name);
    stated[name] = quantity === undefined ? hits : hits / 10 ** quantity.decimals;
  }
  const read = readStatedUsage(policy, described.model, stated);
  if (typeof read !== 'string') return { described, read, isEnd };
  const unpriced = isEnd ? readStatedUsage({ ...policy, prices: [] }, null, stated) : read;
  return typeof unpriced === 'string' ? unpriced : { described, read: unpriced, isEnd };
}

/** What a check before the call reserves: nothing yet, in all limits of amounts. */
export function reserveOfCheck({ described: { model, requestId }, read }: CallUsage): Reserve {
  const amounts = Object.fromEntries(Object.keys(read.amounts).map((name) => [name, 0]));
  return {
    amounts,
    cost: null,
    model,
    expiresMs: reserveDefaults.expiresMs,
    owner: 'service',
    ...(requestId === null ? {} : { id: requestId }),
  };
}

/**
 * Records the usage of a call that has ended, in full and whether limits have room or not. It is joined to the event of the
 * check with the same `request_id`. Without an id, or if Redis has no record of the check, it has an event of its own. So has
 * further usage of an id whose usage is recorded already: it is that of another call, and must not replace the first.
 */
export async function recordCallUsage(enforcer: Enforcer, verdict: Verdict, usage: CallUsage): Promise<void> {
  const { described, read } = usage;
  const settled = { ...read, source: 'reported' as const };
  const nowMs = enforcer.clock.now();
  const checked = await checkedCall(enforcer, verdict.identity.tenantId, described.requestId);
  if (checked === null) {
    if (usage.isEnd) await enforcer.recordUsage(verdict, settled, described.model);
    return;
  }
  const response = { status: 200, latencyMs: Math.max(0, nowMs - checked.call.timeMs) };
  const outcome = await enforcer.reservations.settle(checked, settled, response);
  // Between the read and the settlement, another call with this id was settled.
  if (outcome === 'superseded' && usage.isEnd) await enforcer.recordUsage(verdict, settled, described.model);
}

/** Returns the call that was checked with this id; null if there is none, or if Redis did not respond. */
async function checkedCall(
  enforcer: Enforcer,
  tenantId: string | null,
  requestId: string | null,
): Promise<ReservationToChange | null> {
  if (tenantId === null || requestId === null) return null;
  const found = await enforcer.reservations.find(tenantId, requestId).catch(() => null);
  const call = found === null ? null : readDetails(found.details);
  const isRecorded = found?.state === 'settled' && Object.values(found.amounts).some((amount) => amount > 0);
  return found === null || call === null || isRecorded
    ? null
    : { handle: found.handle, call, pricing: enforcer.policy() };
}

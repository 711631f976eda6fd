import type { CallUsage, CallUsageChange } from '../../../shared/domain/events/call-usage.ts';

/**
 * Returns the usage of a call after a change, or null if the change is older than the stored usage and must not be
 * applied. The state of a reservation never returns to `open`, and a settlement never replaces one with a higher
 * number.
 *
 * The model is set once, because a correction with another model would move the event to another group of the totals.
 */
export function changeUsage(usage: CallUsage, change: CallUsageChange): CallUsage | null {
  const { reservation, settlement, model, ...fields } = change;
  const changed = { ...usage, ...fields, model: usage.model === '' ? (model ?? '') : usage.model };
  if (reservation === null) return changed;
  if (reservation === 'open') {
    if (usage.reservation !== 'open') return null;
    return { ...changed, quantities: fields.quantities ?? fields.reserved ?? usage.quantities };
  }
  if (settlement !== 0 && settlement < usage.settlement) return null;
  const actual = fields.quantities ?? (reservation === 'cancelled' ? {} : usage.quantities);
  return {
    ...changed,
    reservation,
    quantities: actual,
    settlement: Math.max(settlement, usage.settlement),
  };
}
